// Packs what is built, as it would be published.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Package, packages } from './packages.ts';
import { run } from './run.ts';

export interface Packed {
  readonly target: Package;
  readonly tarball: string;
}

/** Packs all packages into a temporary folder and removes it when `use` is done. */
export async function withPacked(use: (packed: readonly Packed[], folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ironflow-packed-'));
  try {
    const all = ['--workspaces', '--include-workspace-root', '--pack-destination', folder];
    const output: unknown = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', ...all]));
    const results = output as { readonly name: string; readonly filename: string }[]; // npm's documented form
    const packed = packages.map((target) => {
      const filename = results.find(({ name }) => name === target.name)?.filename;
      if (filename === undefined) throw new Error(`npm did not pack ${target.name}.`);
      return { target, tarball: join(folder, filename) };
    });
    await use(packed, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
