// The rules of the house: who may import whom, where dangerous calls live, how large a file may grow.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => /\.(ts|c|h|mjs|sh)$/.test(file));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const present = tracked.filter((file) => {
  try {
    read(file);
    return true;
  } catch {
    return false;
  }
});

/** Room → rooms it may import besides itself. A room is a folder of host/, or a single file there. */
const allowed: Record<string, string[]> = {
  'core-asm': [],
  'host/errors': [],
  'host/detach-keys': ['host/errors'],
  'host/docker-config-file': ['host/errors'],
  'host/docker-config': ['host/docker-config-file', 'host/errors'],
  'host/edit-distance': [],
  'host/human-duration': [],
  'host/byte-size': [],
  'host/login-header': ['host/docker-config'],
  // What programs have; it knows an engine by its API alone.
  'host/sdk': ['host/byte-size', 'host/client', 'host/login-header', 'host/errors', 'host/plan-types'],
  'host/vitest': ['host/library'],
  'host/library': ['host/sdk', 'host/client', 'host/index', 'host/errors', 'host/plan-types', 'host/paths'],
  'host/types': [],
  'host/plan-types': ['host/types'],
  'host/paths': [],
  'host/log': [],
  'host/frames': ['core-asm/abi', 'host/errors'],
  'host/log-file': ['core-asm/abi', 'host/backend', 'host/compressed-log'],
  'host/compressed-log': ['core-asm/abi'],
  'host/backend': ['host/types', 'host/plan-types'],
  'host/machine': ['host/plan-types'],
  'host/core': ['core-asm/abi', 'host/errors', 'host/types', 'host/plan-types'],
  'host/image': [
    'host/docker-config',
    'host/core',
    'core-asm/abi',
    'host/errors',
    'host/types',
    'host/plan-types',
    'host/paths',
  ],
  'host/linux': [
    'host/frames',
    'host/backend',
    'host/machine',
    'host/core',
    'host/errors',
    'host/types',
    'host/plan-types',
    'host/paths',
    'core-asm/abi',
  ],
  'host/runtime': ['host/linux', 'host/core', 'host/errors', 'host/types', 'host/plan-types', 'core-asm/abi'],
  'host/vm': [
    'host/log-file',
    'host/backend',
    'host/machine',
    'host/core',
    'host/errors',
    'host/types',
    'host/plan-types',
    'host/paths',
    'core-asm/abi',
  ],
  'host/wasi': [
    'core-asm/abi',
    'host/frames',
    'host/log-file',
    'host/backend',
    'host/core',
    'host/errors',
    'host/types',
    'host/plan-types',
    'host/paths',
  ],
  'host/engine': [
    'host/backend',
    'host/core',
    'host/image',
    'host/errors',
    'host/types',
    'host/plan-types',
    'host/paths',
  ],
  // The language, the ignore file and what travels between client and engine: the command line has them, too.
  'host/build/dockerfile': ['host/build/progress', 'host/edit-distance', 'host/errors', 'host/types'],
  'host/build/ignore': ['host/errors'],
  'host/build/progress': [],
  'host/build/request': ['host/build/progress', 'host/errors'],
  'host/build': [
    'host/build/dockerfile',
    'host/build/ignore',
    'host/build/progress',
    'host/build/request',
    'host/byte-size',
    'host/engine',
    'host/image',
    'host/backend',
    'host/core',
    'host/errors',
    'host/types',
    'host/plan-types',
    'host/paths',
  ],
  'host/api': [
    'host/build',
    'host/build/dockerfile',
    'host/build/ignore',
    'host/build/progress',
    'host/build/request',
    'host/engine',
    'host/backend',
    'host/errors',
    'host/detach-keys',
    'host/human-duration',
    'host/log',
    'host/types',
    'host/plan-types',
    'host/paths',
  ],
  'host/kube': ['host/errors'],
  'host/client': ['host/docker-config-file', 'host/errors', 'host/types', 'host/plan-types', 'host/paths'],
  'host/index': [
    'host/build',
    'host/engine',
    'host/linux',
    'host/vm',
    'host/wasi',
    'host/image',
    'host/core',
    'host/errors',
    'host/types',
    'host/plan-types',
    'host/paths',
    'host/backend',
    'host/api',
    'host/log',
  ],
  'host/cli': [
    'host/build/ignore',
    'host/build/progress',
    'host/build/request',
    'host/client',
    'host/kube',
    'host/index',
    'host/core',
    'host/docker-config',
    'host/docker-config-file',
    'host/log',
    'host/errors',
    'host/detach-keys',
    'host/edit-distance',
    'host/human-duration',
    'host/byte-size',
    'host/login-header',
    'host/types',
    'host/plan-types',
    'host/paths',
  ],
};

function roomOf(file: string): string {
  if (/^core-asm\/(erofs\/)?abi\.ts$/.test(file)) return 'core-asm/abi';
  if (file.startsWith('core-asm/')) return 'core-asm';
  const [top, second = '', third = ''] = file.split('/').map((name) => name.replace(/\.ts$/, ''));
  const shared = `${top}/${second}/${third}`;
  return Object.hasOwn(allowed, shared) ? shared : `${top}/${second}`;
}

function importsOf(file: string): string[] {
  const found = read(file).matchAll(
    /^\s*(?:import|export)\b[^'";]*?from\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? '');
}

const rooms = present.filter((file) => /^(core-asm|host)\/.*\.ts$/.test(file) && !file.endsWith('.d.ts'));

describe('imports', () => {
  it('go one way', () => {
    const violations: string[] = [];
    for (const file of rooms) {
      const room = roomOf(file);
      for (const specifier of importsOf(file)) {
        if (!specifier.startsWith('.')) continue;
        const target = normalize(join(dirname(file), specifier));
        const targetRoom = roomOf(target.endsWith('.ts') ? target : `${target}.ts`);
        if (targetRoom === room) continue;
        if (room === 'core-asm' && targetRoom === 'core-asm/abi') continue;
        if (!(allowed[room] ?? []).includes(targetRoom)) violations.push(`${file} imports ${specifier}`);
      }
    }
    expect(violations).toEqual([]);
  });

  it('have no circles between files', () => {
    const graph = new Map<string, string[]>();
    for (const file of rooms) {
      const targets = importsOf(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => normalize(join(dirname(file), specifier)))
        .map((target) => (target.endsWith('.ts') ? target : `${target}.ts`));
      graph.set(file, targets);
    }
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, trail: string[]): void => {
      if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file].join(' → '));
      if (done.has(file) || trail.includes(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
      done.add(file);
    };
    for (const file of graph.keys()) visit(file, []);
    expect(circles).toEqual([]);
  });

  it('of types stay types: files of types hold no code', () => {
    for (const file of rooms.filter((name) =>
      /^host\/(backend|types|plan-types|build\/progress|build\/dockerfile\/ast)\.ts$/.test(name),
    )) {
      expect(read(file), file).not.toMatch(/^(export )?(const|let|function|class|async)\b/m);
    }
  });
});

describe('calls', () => {
  /** Pattern → files that may contain it, and why nobody else does. */
  const rules: { pattern: RegExp; where: RegExp; why: string }[] = [
    { pattern: /\bprocess\.exit\(/, where: /^host\/cli\/main\.ts$/, why: 'one place decides the exit status' },
    { pattern: /\bWebAssembly\./, where: /^host\/(core|wasi)\//, why: 'one loader' },
    {
      pattern: /child_process|from 'execa'/,
      where:
        /^host\/(linux\/(executor|this-machine|service-manager)\.ts|vm\/|wasi\/backend\.ts|client\/(start-engine|ssh)\.ts|image\/unpack\.ts|docker-config\.ts|cli\/(run\/session|containers\/local-archive)\.ts)/,
      why: 'processes are started in few places',
    },
    { pattern: /shell:\s*true/, where: /^$/, why: 'no shell between us and a command' },
    {
      pattern: /process\.platform/,
      where: /^host\/(engine\/select-backend|vm\/accelerator|paths|index)\.ts$/,
      why: 'the platform is asked once',
    },
    {
      pattern: /\b(load|store)<[iuf]/,
      where: /^core-asm\/(bytes|json|erofs\/memory)\.ts$/,
      why: 'raw memory is touched in one file of a core',
    },
  ];
  it.each(rules.map((rule) => [String(rule.pattern), rule] as const))('%s stays in its room', (_name, rule) => {
    const offenders = rooms.filter((file) => !rule.where.test(file) && rule.pattern.test(read(file)));
    expect(offenders, rule.why).toEqual([]);
  });
});

describe('files', () => {
  const generated = /(\.generated\.ts|\/abi\.h|core-asm\/seccomp\/(syscalls\.[a-z0-9_]+|default-profile)\.ts)$/;
  const sources = present.filter((file) => !generated.test(file) && !/fixtures\//.test(file));

  it('stay under 400 lines', () => {
    const large = sources.filter((file) => read(file).split('\n').length > 401);
    expect(large).toEqual([]);
  });

  it('begin with one sentence that says what lives there', () => {
    const silent = sources
      .filter((file) => file.endsWith('.ts'))
      .filter((file) => !/^(#!.*\n)?(\/\/|\/\*\*) \S+ /.test(read(file)));
    expect(silent).toEqual([]);
  });

  it('are not called utils, helpers, common, manager or misc outside test/helpers', () => {
    const vague = present.filter(
      (file) => /(^|\/)(utils?|helpers?|common|managers?|misc)(\/|\.)/.test(file) && !file.startsWith('test/helpers/'),
    );
    expect(vague).toEqual([]);
  });
});

describe('error messages', () => {
  it('start upper case, end without a period, and avoid contractions', () => {
    const bad: string[] = [];
    for (const file of rooms) {
      for (const match of read(file).matchAll(/new GantryError\(\s*'[A-Z_]+',\s*(['`])((?:(?!\1).)+)\1/g)) {
        const message = match[2] ?? '';
        if (!/^[A-Z"$]/.test(message) || /\.$/.test(message) || /n't\b/.test(message))
          bad.push(`${relative('host', file)}: ${message}`);
      }
    }
    expect(bad).toEqual([]);
  });
});
