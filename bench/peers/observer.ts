// Watches the processes of a contender from outside: CPU time and memory by role, what others took of the machine meanwhile, and calls
// that force data to disk. Reads /proc: Linux only. The observer's own process does no work of the bench.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Program, scratch, sleep } from './processes.ts';

export type Roles = Readonly<Record<string, number>>;

/** Ticks a second of the times in /proc; the same on every Linux that Node runs on. */
const TICKS = 100;
const PAGE_KIB = 4;

/** Between two looks at memory, in milliseconds. */
const LOOK_MS = 200;
/** Looks after which the processes are listed anew. */
const LIST_EVERY = 10;

export interface Observation {
  readonly seconds: number;
  /** Cores that each role used, on average. */
  readonly cores: Roles;
  /** Most memory that each role had at a time, MiB: what is private to its processes, and the largest share they have in common. */
  readonly peakMiB: Roles;
  /** Cores that went to processes which are not the bench's. */
  readonly foreignCores: number;
  readonly ioWaitCores: number;
}

/** Watches from now until the returned function is called. */
export function observe(pids: Roles): () => Observation {
  const startedAt = performance.now();
  const cpuBefore = byRole(pids, cpuSeconds);
  const machineBefore = machine();
  const ownBefore = cpuSeconds(process.pid);
  const peaks = new Map<string, number>();
  let trees = treesOf(pids);
  let looks = 0;
  const look = () => {
    if (++looks % LIST_EVERY === 0) trees = treesOf(pids);
    for (const [role, tree] of trees) peaks.set(role, Math.max(peaks.get(role) ?? 0, memoryMiB(tree)));
  };
  const timer = setInterval(look, LOOK_MS);
  look();
  return () => {
    clearInterval(timer);
    trees = treesOf(pids);
    look();
    const seconds = (performance.now() - startedAt) / 1_000;
    const cpu = byRole(pids, cpuSeconds);
    const now = machine();
    const own = cpuSeconds(process.pid) - ownBefore;
    return {
      seconds,
      cores: mapValues(cpu, (value, role) => (value - (cpuBefore[role] ?? 0)) / seconds),
      peakMiB: Object.fromEntries(peaks),
      foreignCores: Math.min(availableParallelism(), Math.max(0, now.busy - machineBefore.busy - own) / seconds),
      ioWaitCores: (now.ioWait - machineBefore.ioWait) / seconds,
    };
  };
}

/** CPU seconds by role. */
export function cpuByRole(pids: Roles): Roles {
  return byRole(pids, cpuSeconds);
}

/** Memory by role, MiB: the least of some looks, so that garbage about to be collected counts less. */
export async function settledMiB(pids: Roles): Promise<Roles> {
  const least = new Map<string, number>();
  for (let i = 0; i < 10; i++) {
    for (const [role, tree] of treesOf(pids))
      least.set(role, Math.min(least.get(role) ?? Number.POSITIVE_INFINITY, memoryMiB(tree)));
    await sleep(LOOK_MS);
  }
  return Object.fromEntries(least);
}

/** What lets strace count is this program; without it there are no counts. */
export function canCountSyncs(): boolean {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const SYNC_CALLS = 'fsync,fdatasync,msync,sync_file_range';

/** Counts calls that force data to disk until the returned function is called. It slows what it counts: do not time meanwhile. */
export async function countSyncs(pids: Roles): Promise<() => Promise<number>> {
  const others = Object.entries(pids).filter(([role]) => role !== 'client');
  const roots = (others.length > 0 ? others : Object.entries(pids)).map(([, pid]) => pid);
  const file = join(scratch('strace'), 'counts');
  const attach = roots.flatMap(processTree).flatMap((pid) => ['-p', `${pid}`]);
  const counting = new Program('strace', ['-f', '-c', '-o', file, '-e', `trace=${SYNC_CALLS}`, ...attach], {
    signal: 'SIGINT',
  });
  await counting.says(/attached/);
  await sleep(500); // it attaches to the threads one by one
  return async () => {
    await counting.stop();
    const rows = readFileSync(file, 'utf8').matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/gm);
    return [...rows].reduce((sum, [, count, call]) => (call === 'total' ? sum : sum + Number(count)), 0);
  };
}

/** A process and everything that it started. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = statOf(Number(name))?.parent;
    if (parent === undefined) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  const found: number[] = [];
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    found.push(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** The processes of each role; those that belong to another role as well are not the client's. */
function treesOf(pids: Roles): Map<string, number[]> {
  const trees = new Map(Object.entries(pids).map(([role, pid]) => [role, processTree(pid)]));
  const taken = new Set([...trees].filter(([role]) => role !== 'client').flatMap(([, tree]) => tree));
  const client = trees.get('client');
  if (client !== undefined)
    trees.set(
      'client',
      client.filter((pid) => !taken.has(pid)),
    );
  return trees;
}

function byRole(pids: Roles, read: (pid: number) => number): Roles {
  const values = mapValues(pids, (pid) => read(pid)) as Record<string, number>;
  if (values['client'] !== undefined)
    for (const [role, value] of Object.entries(values)) if (role !== 'client') values['client'] -= value;
  return values;
}

interface Stat {
  readonly parent: number;
  /** Seconds, with those of children that have ended. */
  readonly cpu: number;
}

function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15);
    return { parent: fields[1] ?? 0, cpu: (user + system + childUser + childSystem) / TICKS };
  } catch {
    return undefined; // gone
  }
}

function cpuSeconds(root: number): number {
  return processTree(root).reduce((sum, pid) => sum + (statOf(pid)?.cpu ?? 0), 0);
}

function memoryMiB(tree: readonly number[]): number {
  let own = 0;
  let shared = 0;
  for (const pid of tree) {
    try {
      const [, resident = 0, common = 0] = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ').map(Number);
      own += resident - common;
      shared = Math.max(shared, common);
    } catch {
      // gone
    }
  }
  return ((own + shared) * PAGE_KIB) / 1_024;
}

function machine(): { busy: number; ioWait: number } {
  const line = readFileSync('/proc/stat', 'latin1').split('\n')[0] ?? '';
  const [user = 0, nice = 0, system = 0, , ioWait = 0, irq = 0, softIrq = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { busy: (user + nice + system + irq + softIrq) / TICKS, ioWait: ioWait / TICKS };
}

function mapValues<T>(values: Readonly<Record<string, T>>, map: (value: T, key: string) => number): Roles {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value, key)]));
}
