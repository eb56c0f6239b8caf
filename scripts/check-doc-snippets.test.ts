import { describe, expect, test } from 'vitest';
import { snippetErrors, snippetsOf } from './check-doc-snippets.ts';

const page = (...lines: string[]) => snippetsOf('docs/page.md', lines.join('\n'));

/** The code of each module with the numbers of its lines. */
const modules = (...lines: string[]) =>
  page(...lines).map(({ line, text }) => [
    line,
    text.split('\n').flatMap((code, index) => (code === '' ? [] : [`${index + 1} ${code}`])),
  ]);

describe('snippets of a page', () => {
  test('are its ts blocks, each a module that keeps its lines', () => {
    expect(modules('# Page', '```ts', 'one', '```', 'text', '```ts', 'two', '```')).toEqual([
      [3, ['3 one']],
      [7, ['7 two']],
    ]);
  });

  test('go on in the module before when they say so', () => {
    expect(modules('```ts', 'one', '```', '```ts continued', 'two', '```', '```ts', 'three', '```')).toEqual([
      [2, ['2 one', '5 two']],
      [8, ['8 three']],
    ]);
  });

  test('may begin in a comment', () => {
    expect(modules('<!-- ts', 'hidden', '-->', '```ts continued', 'shown', '```')).toEqual([
      [2, ['2 hidden', '5 shown']],
    ]);
  });

  test('are not looked for in blocks of other languages', () => {
    expect(modules('````md', '```ts', 'no', '```', '````', '```json', '{}', '```', '```tsx', 'no', '```')).toEqual([]);
  });
});

test('the compiler’s errors name the page and the line, for a reader’s imports', () => {
  const good = page(
    "```ts\nimport { createEngine } from '@ironflow/engine';\nimport { createClient } from '@ironflow/node';\n```",
    '```ts continued\nconst client = createClient({ engine: await createEngine() });\n```',
    '```ts\nconst client = 1;\n```',
  );
  const bad = page(
    '# Page',
    "```ts\nimport { createClient, notThere } from '@ironflow/node';\nimport { parseDuration } from '@ironflow/core';\n```",
    '',
    '```ts continued',
    "createClient({ timeout: '5s' });",
    'parseDuration("1s") satisfies string;',
    '```',
  );
  expect(snippetErrors([...good, ...bad])).toEqual([
    expect.stringMatching(/^docs\/page\.md:3: .*notThere/),
    expect.stringMatching(/^docs\/page\.md:8: Type 'string' is not assignable to type 'number/),
    expect.stringMatching(/^docs\/page\.md:9: Type 'number' does not satisfy/),
  ]);
});
