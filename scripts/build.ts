// Builds the packages: `node scripts/build.ts [--js-only] [package name ...]`.
// JavaScript alone takes a second and is what `npm ci` makes; with types it takes a quarter of a minute.

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'tsup';
import { type Package, packages, root } from './packages.ts';

/** What is built although no package exports it: the programs that `bin/` starts. */
const programs: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '@ironflow/engine': { 'cli/main': join(root, 'engine/src/cli/main.ts') },
};

export interface BuildOptions {
  /** Leave the types as they are. */
  readonly jsOnly?: boolean;
  /** Default: the package's `dist`. */
  readonly outDir?: string;
}

export async function buildPackage(target: Package, { jsOnly = false, outDir }: BuildOptions = {}): Promise<void> {
  const exported: Record<string, string> = {};
  for (const { built, source } of target.entries)
    exported[built.replace(/^dist\/|\.js$/g, '')] = join(target.dir, source);
  const dependencies = Object.keys({ ...target.dependencies, ...target.peerDependencies });
  await build({
    config: false,
    silent: true,
    entry: { ...exported, ...programs[target.name] },
    outDir: outDir ?? join(target.dir, 'dist'),
    tsconfig: join(root, 'tsconfig.json'),
    external: dependencies.map((name) => new RegExp(`^${name}($|/)`)),
    format: 'esm',
    platform: 'node',
    target: 'es2024',
    splitting: true, // what is imported dynamically stays a file of its own
    removeNodeProtocol: false, // node:sqlite has no other name
    sourcemap: true,
    clean: jsOnly ? ['**/*', '!**/*.d.ts'] : true,
    dts: jsOnly ? false : { entry: exported },
  });
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ options: { 'js-only': { type: 'boolean' } }, allowPositionals: true });
  const start = performance.now();
  const wanted = packages.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  await Promise.all(wanted.map((target) => buildPackage(target, { jsOnly: values['js-only'] ?? false })));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`built ${wanted.map(({ name }) => name).join(', ')} in ${seconds} s`);
}
