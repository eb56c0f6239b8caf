// Checks that imports point one way, toward the pure centre: reading a room never requires reading one further out.
// Each table lists a package's rooms from the centre outward. A room may import itself and what is listed for it:
// rooms of its package, and packages by the name it imports them with. `type` before a name: its types only.
// Tests, and the rooms that serve only them, may import anything; no other room may import those.
// In the same way time, turns and chance come from the files that stand for the platform: no other file asks for them.

import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { importsOf } from './imports.ts';
import { root } from './packages.ts';
import { platformUsesOf } from './platform-uses.ts';

type Rooms = Readonly<Record<string, readonly string[]>>;

const tables: Readonly<Record<string, Rooms>> = {
  'core/src': {
    '.': [],
    wire: ['.', 'zod'],
    frames: ['.', 'wire'],
    proto: ['@bufbuild/protobuf', '@bufbuild/protobuf/*'],
  },

  src: {
    'version.ts': [],
    'environment.ts': [],
    'logger.ts': [],
    'random.ts': [],
    'turns.ts': [],
    execution: ['turns.ts', '@ironflow/core', '@ironflow/core/wire'],
    step: ['execution', '@ironflow/core', '@ironflow/core/wire'],
    function: ['type step', 'type logger.ts', '@ironflow/core', '@ironflow/core/wire'],
    job: ['function', 'step', 'execution', 'type turns.ts', 'logger.ts', '@ironflow/core', '@ironflow/core/wire'],
    serve: [
      ...['job', 'function', 'execution', 'turns.ts', 'environment.ts', 'logger.ts'],
      ...['@ironflow/core', '@ironflow/core/wire', 'zod'],
    ],
    worker: [
      ...['job', 'function', 'execution', 'turns.ts', 'environment.ts', 'logger.ts', 'random.ts', 'version.ts'],
      ...['@ironflow/core', '@ironflow/core/wire', '@ironflow/core/frames', 'node:*'],
    ],
    'worker-streaming.ts': ['worker'],
    client: ['environment.ts', 'turns.ts', '@ironflow/core', '@ironflow/core/wire', 'type node:http'],
    'index.ts': ['client', 'execution', 'function', 'job', 'logger.ts', 'serve', 'step', 'worker', '@ironflow/core'],
  },

  'engine/src': {
    'version.ts': [],
    ports: ['node:crypto'],
    store: ['@ironflow/core'],
    'store/tables.ts': ['store', '@ironflow/core', 'type @ironflow/core/wire'],
    'store/memory': ['store'],
    'store/postgres': ['store', 'store/tables.ts', 'ports', '@ironflow/core', 'node:*', 'pg'],
    'store/sqlite': ['store', 'store/tables.ts', '@ironflow/core', 'node:*'],
    kernel: ['type store/tables.ts', '@ironflow/core', '@ironflow/core/wire', 'node:crypto', '@marcbachmann/cel-js'],
    'group-commit': ['store', 'ports', '@ironflow/core'],
    cluster: ['group-commit', 'store/tables.ts', 'type store', 'type ports'],
    commands: [
      ...['group-commit', 'kernel', 'store/tables.ts', 'type store'],
      ...['@ironflow/core', '@ironflow/core/wire', 'node:crypto'],
    ],
    queries: ['kernel', 'store/tables.ts', 'store', 'ports', '@ironflow/core', '@ironflow/core/wire'],
    dispatch: [
      ...['commands', 'queries', 'group-commit', 'kernel', 'store/tables.ts', 'store', 'ports'],
      ...['@ironflow/core', '@ironflow/core/wire', 'node:*'],
    ],
    loops: [
      ...['commands', 'group-commit', 'kernel', 'store/tables.ts', 'store', 'ports'],
      ...['@ironflow/core', '@ironflow/core/wire'],
    ],
    move: ['store', 'store/tables.ts', '@ironflow/core', 'node:crypto'],
    doctor: [
      ...['commands', 'group-commit', 'kernel', 'store/tables.ts'],
      ...['store', 'type ports', '@ironflow/core'],
    ],
    operations: [
      ...['commands', 'queries', 'group-commit', 'kernel', 'store/tables.ts', 'type store', 'ports'],
      '@ironflow/core',
    ],
    workers: [
      ...['dispatch', 'commands', 'type group-commit', 'kernel', 'store/tables.ts', 'type store'],
      ...['@ironflow/core', '@ironflow/core/wire'],
    ],
    'engine.ts': [
      ...[
        'workers',
        'dispatch',
        'loops',
        'cluster',
        'doctor',
        'operations',
        'commands',
        'queries',
        'group-commit',
        'kernel',
      ],
      ...['store/tables.ts', 'store', 'ports', '@ironflow/core', '@ironflow/core/wire'],
    ],
    transports: [
      ...['engine.ts', 'type workers', 'type commands', 'type operations', 'queries', 'kernel', 'ports', 'version.ts'],
      ...['@ironflow/core', '@ironflow/core/wire', '@ironflow/core/frames', '@ironflow/core/proto'],
      ...['@bufbuild/protobuf', '@bufbuild/protobuf/*', 'find-my-way', 'zod', 'node:*'],
    ],
    'main.ts': [
      ...[
        'transports',
        'engine.ts',
        'doctor',
        'move',
        'type store',
        'store/memory',
        'store/sqlite',
        'store/postgres',
        'ports',
      ],
      ...['@ironflow/core', '@ironflow/core/wire', 'node:*'],
    ],
    cli: ['main.ts', 'ports', 'version.ts', '@ironflow/core', 'node:*', 'pino'],
    'index.ts': ['main.ts', 'engine.ts', 'type ports', 'store'],
  },

  // What a reader copies must work outside this repository.
  examples: {
    '.': ['@ironflow/node', '@ironflow/engine', 'node:*', 'zod', 'express', 'hono', '@hono/node-server'],
  },
};

/** Rooms and files that ask the platform for time, turns and chance, so that the others can be told. */
const asksPlatform = /^(engine\/src\/ports\/|engine\/src\/cli\/program\.ts$|src\/(turns|random)\.ts$|examples\/)/;

const forTests = /\.test(-d)?\.ts$|\/crash-(child|check)\.ts$|\/(conformance|contract|test-support)\//;

/** The room of a file, both relative to the package's sources: the longest path in the table that leads to it, else `.`. */
function roomOf(rooms: Rooms, file: string): string | undefined {
  const candidates = Object.keys(rooms).filter((room) => file === room || file.startsWith(`${room}/`));
  const room = candidates.sort((a, b) => b.length - a.length)[0];
  return room ?? ('.' in rooms ? '.' : undefined);
}

const mayImport = (allowed: readonly string[], name: string, typeOnly: boolean): boolean =>
  allowed.some((entry) => {
    const pattern = entry.replace(/^type /, '');
    if (pattern !== entry && !typeOnly) return false;
    return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  });

/** What the files of one folder, by their path from the root, do against its rooms: one line each. */
export function violations(folder: string, rooms: Rooms, files: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [file, text] of files) {
    if (forTests.test(file)) continue;
    const room = roomOf(rooms, relative(folder, file));
    if (room === undefined) {
      found.push(`${file}: is in no room. Add its room to the table in scripts/check-directions.ts.`);
      continue;
    }
    const neighbours: string[] = [];
    graph.set(file, neighbours);
    for (const { specifier, kind, line } of importsOf(file, text)) {
      let name = specifier;
      if (specifier.startsWith('.')) {
        const target = join(dirname(file), specifier);
        neighbours.push(target);
        const isOurs = target.startsWith(`${folder}/`) && !forTests.test(target);
        name = (isOurs && roomOf(rooms, relative(folder, target))) || target;
        if (name === room) continue;
      }
      if (mayImport(rooms[room] ?? [], name, kind === 'type')) continue;
      const hint = mayImport(rooms[room] ?? [], name, true) ? ', only its types' : '';
      found.push(`${file}:${line}: ${room} may not import ${name}${hint}`);
    }
  }
  return [...found, ...circles(graph)];
}

/** One line for each place that asks the platform for what comes through a port. */
export function platformViolations(files: ReadonlyMap<string, string>): string[] {
  return [...files]
    .filter(([file]) => !forTests.test(file) && !asksPlatform.test(file))
    .flatMap(([file, text]) =>
      platformUsesOf(file, text).map(({ name, line }) => `${file}:${line}: asks the platform: ${name}`),
    );
}

/** One line for each group of files that import each other in a circle (Tarjan's strongly connected components). */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): number => {
    const index = order.size;
    order.set(file, index);
    lowest.set(file, index);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!graph.has(next)) continue;
      const reach = order.has(next) ? (stack.includes(next) ? (order.get(next) ?? index) : index) : visit(next);
      lowest.set(file, Math.min(lowest.get(file) ?? index, reach));
    }
    const low = lowest.get(file) ?? index;
    if (low === index) {
      const members = stack.splice(stack.indexOf(file));
      if (members.length > 1) found.push(`import each other in a circle: ${members.join(', ')}`);
    }
    return low;
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}

function sourcesIn(folder: string): Map<string, string> {
  const files = ts.sys.readDirectory(join(root, folder), ['.ts'], ['node_modules', 'dist']);
  return new Map(files.map((file) => [relative(root, file), readFileSync(file, 'utf8')]));
}

if (import.meta.main) {
  const found = Object.entries(tables).flatMap(([folder, rooms]) => {
    const files = sourcesIn(folder);
    return [...violations(folder, rooms, files), ...platformViolations(files)];
  });
  if (found.length > 0) {
    console.error(found.join('\n'));
    process.exitCode = 1;
  }
}
