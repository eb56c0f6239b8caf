// The power goes: what was not synced may be gone, or there, or there in part, in any combination. From one recording of what a
// process wrote and synced, many disks are made that could be left at as many moments; each must hold all that was acknowledged.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { Random } from '../../../simulation/random.ts';
import { temporaryDirectory } from '../../test-support/index.ts';
import { wholeWriteSets } from './crash-check.ts';

const child = fileURLToPath(new URL('./crash-child.ts', import.meta.url));
const layer = fileURLToPath(new URL('./power-loss-layer.c', import.meta.url));
const SECTOR = 512;

type FileName = 'd' | 'w';
type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'truncate'; readonly length: number };
type Op =
  | { readonly kind: 'change'; readonly file: FileName; readonly change: Change }
  | { readonly kind: 'sync'; readonly file: FileName }
  | { readonly kind: 'acknowledged'; readonly numbers: readonly number[] };

let recorded: readonly Op[] = [];

beforeAll(async () => {
  const directory = temporaryDirectory();
  try {
    recorded = await record(directory.path, 1_200);
  } finally {
    directory.remove();
  }
}, 60_000);

/** Lets the child of the crash test commit until it has acknowledged so many write sets, and gives back what it did to its files. */
async function record(directory: string, count: number): Promise<Op[]> {
  const library = join(directory, 'power-loss-layer.so');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, layer, '-ldl', '-lpthread']);
  const log = join(directory, 'ops');
  const running = spawn(process.execPath, ['--conditions=ironflow-source', child, join(directory, 'data'), '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, LD_PRELOAD: library, IRONFLOW_OPS: log },
  });
  let lines = 0;
  running.stdout.on('data', (chunk: Buffer) => {
    lines += String(chunk).split('\n').length - 1;
    if (lines >= count) running.kill('SIGKILL');
  });
  await new Promise((resolve) => running.once('close', resolve));
  return parse(readFileSync(log));
}

function parse(bytes: Buffer): Op[] {
  const ops: Op[] = [];
  for (let at = 0; at + 14 <= bytes.length; ) {
    const kind = String.fromCharCode(bytes[at] ?? 0);
    const file = String.fromCharCode(bytes[at + 1] ?? 0) as FileName;
    const length = bytes.readUInt32LE(at + 2);
    const offset = Number(bytes.readBigUInt64LE(at + 6));
    const data = bytes.subarray(at + 14, at + 14 + length);
    at += 14 + length;
    if (at > bytes.length) break; // killed in the middle of noting it
    if (kind === 'A') ops.push({ kind: 'acknowledged', numbers: String(data).trim().split('\n').map(Number) });
    else if (kind === 'S') ops.push({ kind: 'sync', file });
    else if (kind === 'T') ops.push({ kind: 'change', file, change: { kind: 'truncate', length: offset } });
    else ops.push({ kind: 'change', file, change: { kind: 'write', offset, data } });
  }
  return ops;
}

/** The bytes of a file, in a buffer that grows by doubling. */
class Bytes {
  #buffer: Buffer;
  #length: number;

  constructor(bytes: Uint8Array = new Uint8Array()) {
    this.#buffer = Buffer.from(bytes);
    this.#length = bytes.length;
  }

  get content(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  apply(change: Change): void {
    const end = change.kind === 'truncate' ? change.length : change.offset + change.data.length;
    if (end > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(end, this.#buffer.length * 2));
      this.content.copy(larger);
      this.#buffer = larger;
    }
    if (change.kind === 'write') {
      change.data.copy(this.#buffer, change.offset);
      this.#length = Math.max(this.#length, end);
    } else {
      if (end < this.#length) this.#buffer.fill(0, end, this.#length);
      this.#length = end;
    }
  }
}

/** A file on a disk that has taken some of what was written to it. */
class DiskFile {
  readonly #synced = new Bytes();
  #pending: Change[] = [];

  change(change: Change): void {
    this.#pending.push(change);
  }

  sync(): void {
    for (const change of this.#pending.splice(0)) this.#synced.apply(change);
  }

  /** As it may be when the power goes now: each sector of each write since the last sync may have come to the disk, or not. */
  afterPowerLoss(random: Random): Buffer {
    const share = random.pick([0, 0.2, 0.5, 0.8, 1]);
    const left = new Bytes(this.#synced.content);
    for (const change of this.#pending) {
      if (change.kind === 'truncate') {
        if (random.chance(share)) left.apply(change);
        continue;
      }
      for (let from = 0; from < change.data.length; from += SECTOR) {
        if (!random.chance(share)) continue;
        const data = change.data.subarray(from, from + SECTOR);
        left.apply({ kind: 'write', offset: change.offset + from, data });
      }
    }
    return left.content;
  }
}

interface Disk {
  readonly files: Readonly<Record<FileName, DiskFile>>;
  readonly acknowledged: number[];
}

/** Calls back at these positions of the recording, with the disk as it stands there. */
async function replay(
  moments: ReadonlySet<number>,
  syncs: boolean,
  look: (disk: Disk, moment: number) => Promise<void>,
): Promise<void> {
  const disk: Disk = { files: { d: new DiskFile(), w: new DiskFile() }, acknowledged: [] };
  for (const [i, op] of recorded.entries()) {
    if (op.kind === 'acknowledged') disk.acknowledged.push(...op.numbers);
    else if (op.kind === 'change') disk.files[op.file].change(op.change);
    else if (syncs) disk.files[op.file].sync();
    if (moments.has(i)) await look(disk, i);
  }
}

/** What is missing of all that was acknowledged, once a store has been opened on the disk that is left. */
async function lostOn({ files, acknowledged }: Disk, random: Random): Promise<readonly number[]> {
  const directory = temporaryDirectory();
  try {
    mkdirSync(directory.path, { recursive: true });
    writeFileSync(join(directory.path, 'ironflow.db'), files.d.afterPowerLoss(random));
    writeFileSync(join(directory.path, 'ironflow.db-wal'), files.w.afterPowerLoss(random));
    const stored = await wholeWriteSets(directory.path);
    return acknowledged.filter((number) => !stored.has(number));
  } finally {
    directory.remove();
    rmSync(directory.path, { recursive: true, force: true });
  }
}

function momentsFor(random: Random, count: number, before = recorded.length): Set<number> {
  return new Set(Array.from({ length: count }, () => random.int(0, before - 1)));
}

test('the recording has commits, syncs of both files, and a checkpoint', () => {
  const count = (test: (op: Op) => boolean) => recorded.filter(test).length;
  expect(count((op) => op.kind === 'sync' && op.file === 'w')).toBeGreaterThan(100);
  expect(count((op) => op.kind === 'sync' && op.file === 'd')).toBeGreaterThan(0);
  expect(count((op) => op.kind === 'acknowledged')).toBeGreaterThan(100);
});

test('whenever the power goes, all that was acknowledged is there, whole, and no half of anything else', async () => {
  const random = new Random(20_270_101);
  let acknowledged = 0;
  await replay(momentsFor(random, 100), true, async (disk, moment) => {
    expect([moment, await lostOn(disk, random)]).toEqual([moment, []]);
    acknowledged = disk.acknowledged.length;
  });
  expect(acknowledged).toBeGreaterThan(500);
}, 60_000);

test('a disk that lies about its syncs does lose something: the test can tell', async () => {
  const random = new Random(1);
  let lost = 0;
  await replay(momentsFor(random, 10, 2_000), false, async (disk) => {
    lost += (await lostOn(disk, random).catch(() => disk.acknowledged)).length;
  });
  expect(lost).toBeGreaterThan(0);
}, 60_000);
