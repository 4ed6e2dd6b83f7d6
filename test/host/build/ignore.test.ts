// .dockerignore, rule by rule of Docker's documentation.
import { describe, expect, it } from 'vitest';
import { parseIgnoreFile } from '../../../host/build/ignore.ts';

const filter = (text: string) => parseIgnoreFile(text, '.dockerignore');

describe('patterns', () => {
  it.each<[string, string[], string[]]>([
    // [file, left out, kept]
    ['*/temp*', ['a/temporary.txt', 'a/temp', 'a/temp/x'], ['temp', 'a/b/temp', 'a/xtemp']],
    ['*/*/temp*', ['a/b/temporary.txt', 'a/b/temp/c'], ['a/temp', 'a/b/c/temp']],
    ['temp?', ['tempa', 'tempb', 'tempa/x'], ['temp', 'tempab', 'a/tempa']],
    ['# comment\n*.md', ['README.md'], ['# comment', 'a/README.md']],
    [' #x\n', ['#x'], ['x']],
    ['foo', ['foo', 'foo/bar', 'foo/b/c'], ['a/foo', 'foobar', 'Foo']],
    ['/foo/bar', ['foo/bar', 'foo/bar/x'], ['foo', 'x/foo/bar']],
    ['foo/', ['foo', 'foo/x'], ['a/foo']],
    ['  foo  \r\n./bar/../baz//\n', ['foo', 'baz', 'baz/x'], ['bar', 'bar/baz']],
    ['**/*.go', ['a.go', 'a/b.go', 'a/b/c.go'], ['a.goo', 'a/go']],
    ['**/node_modules', ['node_modules', 'a/node_modules', 'a/b/node_modules/c/d'], ['xnode_modules', 'node_module']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b', 'a/x/b/c'], ['b', 'a/xb', 'x/a/b']],
    ['a/**', ['a/x', 'a/x/y'], ['a', 'ab']],
    ['a**', ['a', 'ab', 'a/b'], ['b', 'xa']],
    ['**', ['a', 'a/b'], []],
    ['**.txt', ['a.txt', 'x/a.txt', '.txt'], ['a.txtx']],
    ['**foo/bar', ['xfoo/bar', 'a/foo/bar'], ['bar', 'foo/xbar']],
    ['*', ['a', 'a/b'], []],
    ['.', [], ['a']],
    ['/', [], ['a']],
    ['../x', [], ['x']],
    ['[ab].c', ['a.c', 'b.c'], ['c.c', 'ab.c']],
    ['[^ab].c', ['c.c'], ['a.c']],
    ['[a-c]/x', ['a/x'], ['d/x']],
    ['\\*', ['*'], ['a']],
    ['a\\?', ['a?'], ['ab']],
    ['c++', ['c++', 'c++/x'], ['c', 'ccc']],
    ['a(b)|{1}^$.x', ['a(b)|{1}^$.x'], ['ab', 'a(b)|{1}^$_x']],
    ['app/[[]id]', ['app/[id]'], ['app/i']],
    ['ünï?', ['ünïx'], ['ünï']],
    ['x', ['x'], ['constructor', 'toString', '__proto__', 'valueOf/x']],
    ['constructor', ['constructor', 'constructor/x'], ['toString']],
  ])('%j', (text, out, kept) => {
    const { ignores } = filter(text);
    expect(out.filter((path) => !ignores(path))).toEqual([]);
    expect(kept.filter((path) => ignores(path))).toEqual([]);
  });
});

describe('exceptions: the last line that matches decides', () => {
  it.each<[string, string[], string[]]>([
    ['*.md\n!README.md', ['a.md'], ['README.md']],
    ['*.md\n!README*.md\nREADME-secret.md', ['a.md', 'README-secret.md'], ['README.md', 'README-x.md']],
    ['*.md\nREADME-secret.md\n!README*.md', ['a.md'], ['README.md', 'README-secret.md']],
    ['*\n!src', ['a', 'a/src'], ['src', 'src/x', 'src/x/y']],
    ['*\n!src/*.c', ['src', 'src/x.h'], ['src/x.c']],
    ['*\n!**/*.go', ['a', 'a/b', 'a/b.c'], ['x.go', 'a/x.go', 'a/b/x.go']],
    ['dir\n!dir/keep\ndir/keep/not', ['dir', 'dir/a', 'dir/keep/not', 'dir/keep/not/x'], ['dir/keep', 'dir/keep/a']],
    ['dir\n! /dir/keep/', ['dir/a'], ['dir/keep', 'dir/keep/a']],
    ['!a\na', ['a'], []],
  ])('%j', (text, out, kept) => {
    const { ignores } = filter(text);
    expect(out.filter((path) => !ignores(path))).toEqual([]);
    expect(kept.filter((path) => ignores(path))).toEqual([]);
  });
});

describe('a directory that is left out', () => {
  it.each<[string, string[], string[]]>([
    // [file, may hold something kept, cannot]
    ['node_modules', [], ['node_modules', 'node_modules/a']],
    ['*\n!src/a/b', ['src', 'src/a', 'src/a/b', 'src/a/b/c'], ['lib', 'src/x']],
    ['*\n!src/*/b', ['src', 'src/x', 'src/x/b'], ['lib']],
    ['*\n!**/*.go', ['lib', 'lib/x'], []],
    ['*\n!a/**/x', ['a', 'a/b/c'], ['b']],
  ])('%j', (text, may, cannot) => {
    const { mayKeepBelow } = filter(text);
    expect(may.filter((path) => !mayKeepBelow(path))).toEqual([]);
    expect(cannot.filter((path) => mayKeepBelow(path))).toEqual([]);
  });
});

it.each([
  ['a\n!', 'line 2: illegal exclusion pattern'],
  ['!  \n', 'line 1: illegal exclusion pattern'],
  ['a\n\n[', 'line 3: syntax error in pattern "["'],
])('%j is refused', (text, message) => {
  expect(() => filter(text)).toThrow(message);
});
