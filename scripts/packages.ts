// The three packages this repository publishes, read from their package.json files.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const root = dirname(import.meta.dirname);

export interface Package {
  readonly name: string;
  readonly version: string;
  /** Absolute path of the folder that holds its package.json. */
  readonly dir: string;
  /** What it exports, in the order of its package.json. */
  readonly entries: readonly Entry[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

export interface Entry {
  /** What users import: `@ironflow/core/wire`. */
  readonly specifier: string;
  /** Source and built file, relative to the package: `src/wire/index.ts`, `dist/wire/index.js`. */
  readonly source: string;
  readonly built: string;
}

/** In the order of their dependencies: what a package needs stands before it. */
export const packages: readonly Package[] = ['core', '.', 'engine'].map(readPackage);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string | { readonly 'ironflow-source': string; readonly default: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

function readPackage(folder: string): Package {
  const dir = join(root, folder);
  const manifest: Manifest = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
  const entries = Object.entries(manifest.exports).flatMap(([path, target]) => {
    if (typeof target === 'string') return []; // ./package.json
    return [
      {
        specifier: join(manifest.name, path),
        source: join(target['ironflow-source']),
        built: join(target.default),
      },
    ];
  });
  const { name, version, dependencies = {}, peerDependencies = {} } = manifest;
  return { name, version, dir, entries, dependencies, peerDependencies };
}
