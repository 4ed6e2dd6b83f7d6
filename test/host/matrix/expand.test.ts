// Matrix files: what they define, how axes multiply, what include and exclude do, and what is refused with which words.
import { describe, expect, it } from 'vitest';
import { cellsOf, chosen, demandOf } from '../../../host/cli/matrix/cells.ts';
import { parseDefinition } from '../../../host/cli/matrix/definition.ts';
import { expand } from '../../../host/cli/matrix/expand.ts';
import { GantryError } from '../../../host/errors.ts';

const cells = (text: string) => cellsOf(parseDefinition(text, 'm.yml'), 'm.yml', '/src');
const refusal = (text: string): string => {
  try {
    cells(text);
  } catch (error) {
    if (error instanceof GantryError) return `${error.message.replace('Cannot read "m.yml": ', '')} | ${error.hint}`;
    throw error;
  }
  return 'nothing';
};

describe('combinations', () => {
  const axes = { crane: ['tower', 'mobile'], load: ['light', 'heavy'] };

  it('are the product, in the order of the axes', () => {
    expect(expand({ axes, include: [], exclude: [] }).map((one) => Object.values(one).join(' '))).toEqual([
      'tower light',
      'tower heavy',
      'mobile light',
      'mobile heavy',
    ]);
  });

  it('go where an excluded entry fits in part', () => {
    expect(expand({ axes, include: [], exclude: [{ crane: 'mobile' }, { crane: 'tower', load: 'heavy' }] })).toEqual([
      { crane: 'tower', load: 'light' },
    ]);
  });

  it('get what an included entry adds, unless it would change an axis: then it is one of its own', () => {
    const include: Record<string, string>[] = [
      { site: 'port' }, // joins all
      { site: 'roof', crane: 'tower' }, // changes what was added, where the axis agrees
      { crew: 'night', load: 'heavy' },
      { crane: 'floating' }, // agrees with none
      { crane: 'floating', load: 'light' }, // not even with one that was included
    ];
    expect(expand({ axes, include, exclude: [] })).toEqual([
      { crane: 'tower', load: 'light', site: 'roof' },
      { crane: 'tower', load: 'heavy', site: 'roof', crew: 'night' },
      { crane: 'mobile', load: 'light', site: 'port' },
      { crane: 'mobile', load: 'heavy', site: 'port', crew: 'night' },
      { crane: 'floating' },
      { crane: 'floating', load: 'light' },
    ]);
  });

  it('without axes are the included entries', () => {
    expect(expand({ axes: {}, include: [{ a: '1' }, { a: '1' }, { b: '2' }], exclude: [] })).toHaveLength(3);
  });

  it('do not come back by include once they are excluded', () => {
    const found = expand({ axes, include: [{ site: 'port' }], exclude: [{ crane: 'mobile' }] });
    expect(found.map(({ crane }) => crane)).toEqual(['tower', 'tower']);
  });
});

describe('cells', () => {
  it('take settings from the file, from axes and from entries; other axes are variables', () => {
    const [first, second] = cells(`
matrix:
  image: [box]
  node: [3.10, 22]
  include:
    - {node: 22, memory: 1g, cpus: 0.5, run: make}
image: other
env: {MODE: "v\${{ matrix.node }}", PLAIN: yes}
run: test "$node"
volumes: [./data:/data, name:/n, "../up/\${{matrix.node}}:/up"]
timeout: 1m30s
retries: 2
`);
    expect(first).toMatchObject({
      name: 'box, 3.10',
      image: 'box',
      entrypoint: ['/bin/sh', '-ec'],
      command: ['test "$node"'],
      env: ['MODE=v3.10', 'PLAIN=yes', 'node=3.10'],
      volumes: ['/src/data:/data', 'name:/n', '/up/3.10:/up'],
      timeout: 90,
      retries: 2,
      memory: undefined,
    });
    expect(second).toMatchObject({ command: ['make'], memory: 1 << 30, nanoCpus: 5e8 });
    expect(second?.name).toBe('box, 22, 1g, 0.5');
  });

  it('have names of their own', () => {
    expect(cells('matrix: {image: [a, a, b]}').map(({ name }) => name)).toEqual(['a', 'a (2)', 'b']);
  });

  it('want one CPU and its part of the memory where nothing is said', () => {
    const [cell] = cells('matrix: {image: [a]}');
    expect(demandOf(cell!, { nanoCpus: 4e9, memory: 8000 })).toEqual({ nanoCpus: 1e9, memory: 2000 });
    expect(demandOf(cell!, { nanoCpus: 5e8, memory: 8000 })).toEqual({ nanoCpus: 5e8, memory: 8000 });
  });

  it('are chosen by values: several of an axis are alternatives', () => {
    const all = cells('matrix: {image: [a, b, c], x: [1, 2]}');
    const names = (...filters: string[]) => chosen(all, filters).map(({ name }) => name);
    expect(names('image=a', 'image=c', 'x=2')).toEqual(['a, 2', 'c, 2']);
    expect(() => names('imag=a')).toThrow('there is no axis "imag"');
    expect(() => names('image=z')).toThrow('No cell fits the filters');
  });

  it.each([
    ['matrix: {image: [a]}\nmemroy: 1g', 'unknown key memroy | Meant: memory?'],
    ['matrix: {image: a}', 'matrix.image must be a list | undefined'],
    ['matrix: {image: []}', 'matrix.image has no values | undefined'],
    ['image: a', 'matrix is missing or empty | undefined'],
    ['matrix: {image: [{a: b}]}', 'matrix.image[0] must be text or a number | undefined'],
    ['matrix: {image: [a], exclude: [{imag: a}]}', 'unknown axis matrix.exclude[0].imag | Meant: image?'],
    ['matrix: {image: [a], env: [a]}', `matrix.env cannot be an axis | Set env once, with \${{ matrix.NAME }} in it`],
    ['matrix: {a-b: [a]}', 'matrix.a-b is no name of a variable | Letters, digits and _ only'],
    ['matrix: {x: [a]}', 'image of the cell "a": there is none | Give image, or an axis of images: matrix.image'],
    [`matrix: {x: [a]}\nimage: i:\${{ matrix.y }}`, 'image of the cell "a": it has no matrix.y | Meant: matrix.x?'],
    [
      'matrix: {image: [a]}\nrun: x\ncommand: [x]',
      'it has both run and command | run is a script for sh -e, command the words of a program',
    ],
    ['matrix: {image: [a]}\ncommand: make all', 'command must be a list | For a script: run'],
    ['matrix: {image: [a]}\nmemory: lots', 'memory of the cell "a": "lots": invalid size | Such as 512m or 1.5g'],
    ['matrix: {image: [a]}\ntimeout: 5', 'timeout of the cell "a": "5": invalid duration | Such as 30s or 1m30s'],
    ['matrix: {image: [a]}\njobs: 0', 'jobs must be a whole number from 1 on, not "0" | undefined'],
    ['matrix: {image: [a]}\nfail-fast: yes', 'fail-fast must be true or false, not "yes" | undefined'],
    ['matrix: {image: [a]}\nimage: b\nimage: c', 'Map keys must be unique at line 3, column 1 | undefined'],
  ])('are refused: %j', (text, words) => {
    expect(refusal(text)).toBe(words);
  });

  it('are refused where an expression is none of ours', () => {
    expect(refusal(`matrix: {image: [a]}\nrun: echo \${{ github.sha }}`)).toMatch(
      /^run of the cell "a": .* is not known here/,
    );
  });
});
