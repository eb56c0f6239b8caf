import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { wholeWriteSets } from './crash-check.ts';

const child = fileURLToPath(new URL('./crash-child.ts', import.meta.url));

/** Runs the child until it has acknowledged `count` write sets, kills it with SIGKILL, and returns all that it acknowledged. */
function commitUntilKilled(directory: string, from: number, count: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, ['--conditions=ironflow-source', child, directory, `${from}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    process_.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.split('\n').length > count) process_.kill('SIGKILL');
    });
    process_.once('error', reject);
    // 'close' comes after the pipe is empty: what was written before the kill has arrived.
    process_.once('close', () => resolve(text.split('\n').slice(0, -1).map(Number)));
  });
}

test('a process killed at any moment leaves every acknowledged write set whole, and no half of another', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ironflow-crash-'));
  try {
    let from = 0;
    // Counts that are far apart, so that the kills fall into different places: the first commit, a checkpoint, later ones.
    for (const count of [1, 2, 7, 40, 3, 150, 11, 600, 25, 90, 1_500, 5]) {
      const acknowledged = await commitUntilKilled(directory, from, count);
      expect(acknowledged.length).toBeGreaterThanOrEqual(count);
      const stored = await wholeWriteSets(directory);
      expect(acknowledged.filter((number) => !stored.has(number))).toEqual([]);
      from = Math.max(...stored) + 1;
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
