// Checks every Markdown file: a relative link leads to a file of the repository, an anchor to a heading of it, and no merge was
// left half done.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './packages.ts';

/** What is wrong with the links of one document, one line each. `read` gives another file's text, if there is such a file. */
export function brokenLinks(file: string, text: string, read: (file: string) => string | undefined): string[] {
  const found: string[] = [];
  const lines = withoutCode(text).split('\n');
  for (const [index, line] of lines.entries()) {
    for (const link of linksIn(line)) {
      if (/^[a-z][a-z+.-]*:/i.test(link)) continue; // another site
      const [path = '', anchor] = decodeURI(link).split('#');
      const target = path === '' ? file : path.startsWith('/') ? path.slice(1) : join(dirname(file), path);
      const there = target === file ? text : target.startsWith('..') ? undefined : read(target);
      const where = `${file}:${index + 1}: ${link}`;
      if (there === undefined) found.push(`${where}: there is no ${target}`);
      else if (anchor && target.endsWith('.md') && !anchorsOf(there).has(anchor))
        found.push(`${where}: no such heading`);
    }
  }
  return found;
}

/** The lines that a merge left for somebody to choose between; they show up as text of the page. */
export function mergeMarks(file: string, text: string): string[] {
  const lines = text.split('\n').map((line, index) => ({ line, where: `${file}:${index + 1}` }));
  return lines.filter(({ line }) => /^(<{7}|>{7}) /.test(line)).map(({ where }) => `${where}: left over from a merge`);
}

/** `[text](target)`, `[text](<target> "title")`, `[name]: target`, `href="target"` and `src="target"`. */
function linksIn(line: string): string[] {
  const patterns = [/\]\(\s*<?([^)\s>]+)/g, /^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)/g, /\b(?:href|src)="([^"]+)"/g];
  return patterns.flatMap((pattern) => [...line.matchAll(pattern)].map((match) => match[1] ?? ''));
}

/** The ids that GitHub gives to headings: lower case, no punctuation, hyphens for spaces, a number when repeated. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutFences(text).matchAll(/^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$/gm)) {
    const visible = heading.replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/<[^>]+>/g, '');
    const slug = visible
      .toLowerCase()
      .replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let repeat = 1; anchors.has(anchor); repeat++) anchor = `${slug}-${repeat}`;
    anchors.add(anchor);
  }
  for (const [, id = ''] of text.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

/** Blanks code blocks, line by line, so that the lines after them keep their numbers. */
function withoutFences(text: string): string {
  let fence: string | undefined;
  return text
    .split('\n')
    .map((line) => {
      const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
      if (fence === undefined) {
        fence = mark;
        return mark === undefined ? line : '';
      }
      if (mark?.startsWith(fence)) fence = undefined;
      return '';
    })
    .join('\n');
}

const withoutCode = (text: string): string => withoutFences(text).replace(/(`+)[^\n]*?\1/g, '');

if (import.meta.main) {
  const git = ['ls-files', '--cached', '--others', '--exclude-standard', '--', '*.md'];
  const files = new Set(spawnSync('git', git, { cwd: root, encoding: 'utf8' }).stdout.split('\n'));
  const read = (file: string): string | undefined => {
    if (!existsSync(join(root, file))) return undefined;
    return file.endsWith('.md') ? readFileSync(join(root, file), 'utf8') : '';
  };
  const found = [...files].flatMap((file) => {
    const text = read(file) ?? '';
    return [...mergeMarks(file, text), ...brokenLinks(file, text, read)];
  });
  if (found.length > 0) {
    console.error(found.join('\n'));
    process.exitCode = 1;
  }
}
