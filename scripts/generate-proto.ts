// Generates core/src/proto/gen from proto/. With --check it only compares and fails when they differ.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative, sep } from 'node:path';

const root = dirname(import.meta.dirname);
const outDir = join('core', 'src', 'proto', 'gen');

/** Runs buf with the repository's own plugin; `base` is the folder that `outDir` is taken relative to. */
function generate(base: string): void {
  const buf = join(dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin', 'buf');
  const path = [join(root, 'node_modules', '.bin'), dirname(process.execPath), process.env['PATH']];
  const { status, error } = spawnSync(process.execPath, [buf, 'generate', '--output', base], {
    cwd: root,
    env: { ...process.env, PATH: path.join(delimiter) },
    stdio: 'inherit',
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`buf generate ended with status ${status}`);
}

/** The files below `dir`, by their path relative to it. */
function readTree(dir: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  if (!existsSync(dir)) return files;
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    files.set(relative(dir, file).split(sep).join('/'), readFileSync(file));
  }
  return files;
}

/** One line for each file that is missing, superfluous or different in the checked-in folder. */
function differences(): string[] {
  const base = mkdtempSync(join(tmpdir(), 'ironflow-proto-'));
  try {
    generate(base);
    const fresh = readTree(join(base, outDir));
    const kept = readTree(join(root, outDir));
    if (fresh.size === 0) throw new Error('buf generated no file');
    return [...new Set([...fresh.keys(), ...kept.keys()])].sort().flatMap((name) => {
      const want = fresh.get(name);
      const have = kept.get(name);
      if (!have) return [`${name} (missing)`];
      if (!want) return [`${name} (not generated any more)`];
      return want.equals(have) ? [] : [`${name} (differs)`];
    });
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

const args = process.argv.slice(2);
if (args.some((arg) => arg !== '--check')) {
  console.error('usage: node scripts/generate-proto.ts [--check]');
  process.exitCode = 2;
} else if (args.length === 0) {
  generate(root);
} else {
  const found = differences();
  if (found.length > 0) {
    const folder = outDir.split(sep).join('/');
    console.error(`${folder} is out of date:\n${found.map((line) => `  ${line}`).join('\n')}\nRun: npm run generate`);
    process.exitCode = 1;
  }
}
