import { describe, expect, test } from 'vitest';
import { platformViolations, violations } from './check-directions.ts';

const rooms = { 'version.ts': [], kernel: ['type store', 'zod'], store: [], commands: ['kernel', 'store', 'node:*'] };

const check = (files: Record<string, string>) =>
  violations('src', rooms, new Map(Object.entries(files).map(([file, text]) => [`src/${file}`, text])));

describe('import directions', () => {
  test.each([
    ['its own room', 'kernel/a.ts', `import './b.ts';`, []],
    ['a room listed for it', 'commands/a.ts', `import { b } from '../kernel/b.ts';`, []],
    ['a package listed for it', 'kernel/a.ts', `import { z } from 'zod';`, []],
    ['a family of packages', 'commands/a.ts', `import 'node:fs';`, []],
    ['types, where types are allowed', 'kernel/a.ts', `import { type Row } from '../store/b.ts';`, []],
    ['anything, in a test', 'kernel/a.test.ts', `import { b } from '../commands/b.ts';`, []],
    [
      'a room further out',
      'store/a.ts',
      `export * from '../kernel/b.ts';`,
      ['src/store/a.ts:1: store may not import kernel'],
    ],
    [
      'a room further out, lazily',
      'store/a.ts',
      `await import('../kernel/b.ts');`,
      ['src/store/a.ts:1: store may not import kernel'],
    ],
    [
      'a room further out, in a type',
      'store/a.ts',
      `type B = import('../kernel/b.ts').B;`,
      ['src/store/a.ts:1: store may not import kernel'],
    ],
    [
      'more than types',
      'kernel/a.ts',
      `\nimport { row } from '../store/b.ts';`,
      ['src/kernel/a.ts:2: kernel may not import store, only its types'],
    ],
    ['a package not listed', 'store/a.ts', `import 'node:fs';`, ['src/store/a.ts:1: store may not import node:fs']],
    [
      'a test',
      'commands/a.ts',
      `import './b.test.ts';`,
      ['src/commands/a.ts:1: commands may not import src/commands/b.test.ts'],
    ],
    [
      'another package by its path',
      'store/a.ts',
      `import '../../core/a.ts';`,
      ['src/store/a.ts:1: store may not import core/a.ts'],
    ],
  ])('a file that imports %s', (_, file, text, expected) => {
    expect(check({ [file]: text })).toEqual(expected);
  });

  test('a file in no room is named', () => {
    expect(check({ 'other/a.ts': '' })).toEqual([expect.stringMatching(/^src\/other\/a\.ts: is in no room/)]);
  });

  test('files that import each other in a circle are named, those that only reach it are not', () => {
    const found = check({
      'kernel/a.ts': `import './b.ts';`,
      'kernel/b.ts': `import './c.ts'; import './d.ts';`,
      'kernel/c.ts': `import type { B } from './b.ts'; import './d.ts';`,
      'kernel/d.ts': '',
    });
    expect(found).toEqual(['import each other in a circle: src/kernel/b.ts, src/kernel/c.ts']);
  });
});

describe('time, turns and chance', () => {
  const found = (text: string, file = 'engine/src/loops/a.ts') =>
    platformViolations(new Map([[file, text]])).map((line) => line.replace(/^.*platform: /, ''));

  test.each([
    ['Date.now()', ['Date.now']],
    ['const now = Date.now;', ['Date.now']],
    ['new Date()', ['new Date()']],
    ['new Date(5)', []],
    ['performance.now()', ['performance.now']],
    ['Math.random() * Math.max(1, 2)', ['Math.random']],
    ['setTimeout(f, 5); setImmediate(f);', ['setTimeout', 'setImmediate']],
    ['socket.setTimeout(5)', []],
    ['const id = randomUUID();', ['randomUUID']],
    [`import { setTimeout } from 'node:timers/promises';`, ['node:timers/promises']],
  ])('%s', (text, expected) => expect(found(text)).toEqual(expected));

  test.each(['engine/src/ports/clock.ts', 'engine/src/cli/program.ts', 'src/turns.ts', 'src/worker/polling.test.ts'])(
    '%s may ask',
    (file) => expect(found('Date.now()', file)).toEqual([]),
  );
});
