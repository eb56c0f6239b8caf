// npm run bench:where -- file.cpuprofile [file.heapprofile …]
//
// Where a profile's time, or its allocated bytes, went: by room of the project or package, and by function. Of what ran itself, not what it called.

import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}
interface CpuNode {
  readonly id: number;
  readonly callFrame: CallFrame;
}
interface CpuProfile {
  readonly nodes: readonly CpuNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}
interface HeapNode {
  readonly callFrame: CallFrame;
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
}

const root = fileURLToPath(new URL('..', import.meta.url));
const LINES = 25;

for (const file of process.argv.slice(2)) {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile | { readonly head: HeapNode };
  console.log(`\n${file}`);
  if ('head' in profile) print(heapByFrame(profile.head), 'MiB', 2 ** 20);
  else print(cpuByFrame(profile), 'ms', 1_000);
}

type ByFrame = Iterable<readonly [CallFrame, number]>;

/** Microseconds; without those in which nothing ran. */
function* cpuByFrame({ nodes, samples, timeDeltas }: CpuProfile): ByFrame {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  for (const [i, id] of samples.entries()) {
    const frame = byId.get(id);
    if (frame !== undefined && frame.functionName !== '(idle)') yield [frame, timeDeltas[i] ?? 0];
  }
}

function* heapByFrame(node: HeapNode): ByFrame {
  yield [node.callFrame, node.selfSize];
  for (const child of node.children) yield* heapByFrame(child);
}

function print(byFrame: ByFrame, unit: string, perUnit: number): void {
  const rooms = new Map<string, number>();
  const functions = new Map<string, number>();
  let total = 0;
  for (const [frame, amount] of byFrame) {
    const room = roomOf(frame);
    const name = `${frame.functionName || '(anonymous)'} ${placeOf(frame)}`;
    rooms.set(room, (rooms.get(room) ?? 0) + amount);
    functions.set(name, (functions.get(name) ?? 0) + amount);
    total += amount;
  }
  console.log(`${(total / perUnit).toFixed(0)} ${unit}`);
  for (const values of [rooms, functions]) {
    console.log();
    for (const [name, amount] of [...values].sort(([, a], [, b]) => b - a).slice(0, LINES))
      console.log(
        `${((amount / total) * 100).toFixed(1).padStart(6)} %  ${(amount / perUnit).toFixed(1).padStart(9)} ${unit}  ${name}`,
      );
  }
}

/** The folder of our sources, the package of others', or Node itself. */
function roomOf({ url, functionName }: CallFrame): string {
  if (url === '') return functionName.startsWith('(') ? functionName : '(native)';
  if (url.startsWith('node:')) return url.startsWith('node:internal') ? 'node:internal' : url;
  const path = relative(root, url.startsWith('file:') ? fileURLToPath(url) : url);
  const packages = path.split('node_modules/');
  if (packages.length > 1) return `package ${/^(@[^/]+\/)?[^/]+/.exec(packages.at(-1) ?? '')?.[0]}`;
  return path.split('/').slice(0, -1).join('/');
}

function placeOf({ url, lineNumber }: CallFrame): string {
  if (url === '') return '';
  if (!url.startsWith('file:')) return `${url}:${lineNumber + 1}`;
  return `${relative(root, fileURLToPath(url))}:${lineNumber + 1}`;
}
