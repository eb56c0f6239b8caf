// Type-checks every TypeScript block of README.md and docs/ (but for docs/adr/), as a reader would compile it: strictly, against
// the packages' own sources, all in one program held in memory.
//
// A ```ts block is a module of its own. One marked ```ts continued goes on in the module of the block before it on its page. A
// comment `<!-- ts … -->` is a block that readers do not see: it begins a module with what the visible blocks take for granted.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './packages.ts';

/** One module of a page: its code on the lines it has there, every other line blank. */
export interface Snippet {
  readonly file: string;
  /** Line of its first code, from 1. */
  readonly line: number;
  readonly text: string;
}

const VISIBLE = /^```ts( continued)?$/;
const HIDDEN = /^<!-- ts$/;

/** The modules of one page, in order. */
export function snippetsOf(file: string, text: string): Snippet[] {
  const lines = text.split('\n');
  const modules: { readonly line: number; readonly code: string[] }[] = [];
  let open: { readonly code: string[]; readonly end: string } | undefined;
  let inOther: string | undefined;
  for (const [index, line] of lines.entries()) {
    if (open !== undefined) {
      if (line === open.end) open = undefined;
      else open.code[index] = line;
      continue;
    }
    const fence = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (inOther !== undefined) {
      if (fence?.startsWith(inOther)) inOther = undefined;
      continue;
    }
    const visible = VISIBLE.exec(line);
    if (visible === null && !HIDDEN.test(line)) {
      inOther = fence;
      continue;
    }
    const before = visible?.[1] === undefined ? undefined : modules.at(-1);
    const module = before ?? { line: index + 2, code: Array.from(lines, () => '') };
    if (before === undefined) modules.push(module);
    open = { code: module.code, end: visible === null ? '-->' : '```' };
  }
  return modules.map(({ line, code }) => ({ file, line, text: code.join('\n') }));
}

/** What the compiler says of the snippets: `docs/start.md:12: …`, one line each. */
export function snippetErrors(snippets: readonly Snippet[]): string[] {
  const options = compilerOptions();
  const modules = new Map(snippets.map((one) => [join(root, `${one.file}.${one.line}.ts`), one]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.getCurrentDirectory = () => root;
  host.fileExists = (path) => modules.has(path) || fileExists(path);
  host.readFile = (path) => modules.get(path)?.text ?? readFile(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const snippet = modules.get(path);
    if (snippet === undefined) return getSourceFile(path, languageVersion, ...rest);
    return ts.createSourceFile(path, snippet.text, languageVersion, true);
  };
  const program = ts.createProgram([...modules.keys()], options, host);
  return [...modules].flatMap(([path, { file }]) => {
    const source = program.getSourceFile(path);
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.map(({ start = 0, messageText }) => {
      const line = (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1;
      return `${file}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
}

/** The repository's own options, but for those that are a matter of this project's taste or of whole programs. */
function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['-'] }, ts.sys, root);
  return {
    ...options,
    noUnusedLocals: false,
    noUnusedParameters: false,
    noPropertyAccessFromIndexSignature: false,
    moduleDetection: ts.ModuleDetectionKind.Force,
  };
}

if (import.meta.main) {
  const git = ['ls-files', '--cached', '--others', '--exclude-standard', '--', 'README.md', 'docs/*.md'];
  const files = spawnSync('git', git, { cwd: root, encoding: 'utf8' }).stdout.split('\n');
  const pages = files.filter((file) => file !== '' && !file.startsWith('docs/adr/'));
  const snippets = pages.flatMap((file) => snippetsOf(file, readFileSync(join(root, file), 'utf8')));
  const found = snippetErrors(snippets);
  if (found.length > 0) console.error(found.join('\n'));
  else console.log(`${snippets.length} snippets of ${pages.length} pages compile`);
  process.exitCode = found.length > 0 ? 1 : 0;
}
