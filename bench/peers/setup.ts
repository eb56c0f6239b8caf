// Installs the other engines into others/, where git does not look: they are no dependency of the project.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = join(import.meta.dirname, 'others');

/** The names of the peers' packages that are not there in the version that package.json asks for. */
function missing(): string[] {
  const { dependencies } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
    dependencies: Readonly<Record<string, string>>;
  };
  return Object.entries(dependencies)
    .filter(([name, wanted]) => {
      const file = join(directory, 'node_modules', name, 'package.json');
      if (!existsSync(file)) return true;
      return /^\d/.test(wanted) && JSON.parse(readFileSync(file, 'utf8')).version !== wanted;
    })
    .map(([name]) => name);
}

export function installPeers(): void {
  const names = missing();
  if (names.length === 0) return;
  console.log(`Installing ${names.length} packages of the peers in ${directory}, about a minute, 1 GB …`);
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: directory,
    stdio: 'inherit',
    // Restate's packages come with a reporter of installations.
    env: { ...process.env, SCARF_ANALYTICS: 'false', DO_NOT_TRACK: '1' },
  });
}
