// Checks the lockfiles, and with --complete adds what is missing.
//   L1. They name no registry: an address would tie every clone to the network it was made on.
//   L2. They have an entry for each platform's build of a native package. npm leaves out those that the registry in use
//       does not hold, and `npm ci` then refuses the file everywhere.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './packages.ts';

interface LockEntry {
  version?: string;
  resolved?: string;
  link?: boolean;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

type LockEntries = Record<string, LockEntry>;

/** The repository's own, and those of examples that are applications of their own. */
const files = ['package-lock.json', 'examples/next/package-lock.json'];

function addresses(entries: LockEntries): string[] {
  return Object.entries(entries)
    .filter(([, entry]) => entry.resolved !== undefined && entry.link !== true)
    .map(([path, entry]) => `${path} is resolved to ${entry.resolved}`);
}

interface Missing {
  readonly path: string;
  readonly entry: LockEntry;
}

function missingBuilds(entries: LockEntries): Missing[] {
  const missing = new Map<string, Missing>();
  for (const [owner, { optionalDependencies = {}, dev }] of Object.entries(entries)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (isFound(entries, owner, name)) continue;
      const path = `node_modules/${name}`;
      missing.set(path, { path, entry: { version, ...(dev && { dev }), optional: true, ...platformOf(name) } });
    }
  }
  return [...missing.values()];
}

/** Whether `name` resolves from the folder `owner`, looking in each node_modules on the way up, as Node does. */
function isFound(entries: LockEntries, owner: string, name: string): boolean {
  for (let folder = owner; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    if (entries[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`]) return true;
    if (folder === '') return false;
  }
}

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64'];

/** What a name such as `@rollup/rollup-linux-arm-musleabihf` says of the machine it is for. */
function platformOf(name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> {
  const words = name.replace(/^@[^/]+/, '').split(/[-/]/);
  const os = systems.find((system) => words.includes(system));
  const cpu =
    processors.find((processor) => words.includes(processor)) ?? (words.includes('armv7') ? 'arm' : undefined);
  const libc = words.some((word) => word.startsWith('musl'))
    ? ['musl']
    : words.some((word) => word.startsWith('gnu'))
      ? ['glibc']
      : undefined;
  if (!os || !cpu)
    throw new Error(`Cannot tell from its name which machine ${name} is for. Add it to the lockfile by hand.`);
  return { os: [os], cpu: [cpu], ...(libc && { libc }) };
}

const { values } = parseArgs({ options: { complete: { type: 'boolean' } } });
for (const file of files) {
  const lockfile: { packages: LockEntries } = JSON.parse(readFileSync(join(root, file), 'utf8'));
  const missing = missingBuilds(lockfile.packages);
  const found = addresses(lockfile.packages);
  if (values.complete) {
    for (const { path, entry } of missing) lockfile.packages[path] = entry;
    lockfile.packages = Object.fromEntries(
      Object.entries(lockfile.packages).sort(([a], [b]) => a.localeCompare(b, 'en')),
    );
    writeFileSync(join(root, file), `${JSON.stringify(lockfile, null, 2)}\n`);
    console.log(`${file}: added ${missing.length} entries.`);
  } else if (missing.length > 0) {
    found.push(`${missing.map(({ path }) => path).join(', ')}: no entry. Run: npm run lockfile`);
  }
  if (found.length > 0) {
    console.error(found.map((line) => `${file}: ${line}`).join('\n'));
    process.exitCode = 1;
  }
}
