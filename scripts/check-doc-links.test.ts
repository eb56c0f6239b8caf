import { describe, expect, test } from 'vitest';
import { brokenLinks, mergeMarks } from './check-doc-links.ts';

const files: Record<string, string> = {
  'docs/start.md':
    '# Start\n\n## What `step.run` does, & why\n## Next\n## Next\n```sh\n# not a heading\n```\n<a id="end"></a>\n',
  'docs/api': '',
  LICENSE: '',
};

const check = (text: string) => brokenLinks('docs/guide.md', text, (file) => files[file]);

describe('links of a document', () => {
  test.each([
    ['a file', '[a](start.md) and [b](./api) and [c](../LICENSE)', []],
    ['a file from the root', '[a](/docs/start.md)', []],
    ['a heading', '[a](start.md#what-steprun-does--why)', []],
    ['a repeated heading', '[a](start.md#next-1)', []],
    ['a named place', '[a](start.md#end)', []],
    ['a heading of its own', '# Here\n[a](#here)', []],
    ['another site', '[a](https://example.com/x.md#y)', []],
    ['nothing, in code', '`[a](none.md)`\n```md\n[a](none.md)\n```', []],
    ['no file', '\n[a](none.md)', ['docs/guide.md:2: none.md: there is no docs/none.md']],
    ['no file, by reference', '[a]: none.md', ['docs/guide.md:1: none.md: there is no docs/none.md']],
    ['no file, in HTML', '<img src="none.png">', ['docs/guide.md:1: none.png: there is no docs/none.png']],
    ['no heading', '[a](start.md#not-a-heading)', ['docs/guide.md:1: start.md#not-a-heading: no such heading']],
    ['outside the repository', '[a](../../x.md)', ['docs/guide.md:1: ../../x.md: there is no ../x.md']],
  ])('to %s', (_, text, expected) => {
    expect(check(text)).toEqual(expected);
  });
});

test('what a merge left to choose between is found, and a heading that is underlined is not', () => {
  const text = ['a', `${'<'.repeat(7)} HEAD`, 'b', '='.repeat(7), 'c', `${'>'.repeat(7)} 6215a37 (steps)`].join('\n');
  expect(mergeMarks('docs/guide.md', text)).toEqual([
    'docs/guide.md:2: left over from a merge',
    'docs/guide.md:6: left over from a merge',
  ]);
});
