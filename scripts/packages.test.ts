import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { version as engineVersion } from '../engine/src/version.ts';
import { version as sdkVersion } from '../src/version.ts';
import { buildPackage } from './build.ts';
import { type Import, importsOf } from './imports.ts';
import { packages, root } from './packages.ts';

const manifest = (name: string) => {
  const found = packages.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`There is no package ${name}.`);
  return found;
};

describe('versions', () => {
  test('all packages are released together, under one version', () => {
    expect(new Set(packages.map(({ version }) => version)).size).toBe(1);
    for (const { dependencies, version } of packages)
      for (const [name, wanted] of Object.entries(dependencies))
        if (name.startsWith('@ironflow/')) expect(wanted).toBe(version);
  });

  test('the SDK and the engine know their own', () => {
    expect(sdkVersion).toBe(manifest('@ironflow/node').version);
    expect(engineVersion).toBe(manifest('@ironflow/engine').version);
  });
});

test('every package carries the licence', () => {
  const licence = readFileSync(join(root, 'LICENSE'), 'utf8');
  for (const { dir } of packages) expect(readFileSync(join(dir, 'LICENSE'), 'utf8')).toBe(licence);
});

// serve() also runs where there is no Node, and most applications never speak protobuf: loading the SDK loads neither.
describe('what the built SDK loads', () => {
  const outDir = mkdtempSync(join(tmpdir(), 'ironflow-build-'));
  const folder = (name: string) => join(outDir, name);
  beforeAll(async () => {
    for (const name of ['@ironflow/core', '@ironflow/node'])
      await buildPackage(manifest(name), { jsOnly: true, outDir: folder(name) });
  });
  afterAll(() => rmSync(outDir, { recursive: true, force: true }));

  /** The packages that are loaded with an entry, by the names they are imported with. */
  function loadedWith(specifier: string, kinds: readonly Import['kind'][] = ['static']): string[] {
    const loaded = new Set<string>();
    const visited = new Set<string>();
    const visit = (file: string) => {
      if (visited.has(file)) return;
      visited.add(file);
      for (const found of importsOf(file, readFileSync(file, 'utf8'))) {
        if (!kinds.includes(found.kind)) continue;
        if (found.specifier.startsWith('.')) visit(join(dirname(file), found.specifier));
        else open(found.specifier);
      }
    };
    const open = (name: string) => {
      loaded.add(name);
      for (const { name: owner, entries } of packages)
        for (const entry of entries)
          if (entry.specifier === name) visit(join(folder(owner), entry.built.replace('dist/', '')));
    };
    open(specifier);
    return [...loaded].sort();
  }

  test('is the vocabulary and its schemas', () => {
    expect(loadedWith('@ironflow/node')).toEqual(['@ironflow/core', '@ironflow/core/wire', '@ironflow/node', 'zod']);
  });

  test('is nothing but itself for the vocabulary', () => {
    expect(loadedWith('@ironflow/core')).toEqual(['@ironflow/core']);
  });

  test('includes Node built-ins once a worker starts', () => {
    const later = loadedWith('@ironflow/node', ['static', 'dynamic']);
    expect(later).toContain('node:http');
    expect(later.filter((name) => !name.startsWith('node:') && builtinModules.includes(name))).toEqual([]);
  });
});
