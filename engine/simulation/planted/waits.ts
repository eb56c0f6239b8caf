// Planted bugs in what a run waits for: timers, events and their log, waits.

import { events, runs, waits } from '../../src/store/tables.ts';
import type { BugDescription } from './bug.ts';
import { appendsTo, without } from './write-sets.ts';

export const waitBugs: readonly BugDescription[] = [
  {
    name: 'timers fire early',
    promise: 6,
    caughtAs: ['a timer never fires early'],
    plant: () => ({ clockAheadMs: 4_000 }),
  },
  {
    name: 'timers fire a minute late',
    promise: 6,
    caughtAs: ['what is due happens soon after its time'],
    plant: () => ({
      rows: (scan, found) => {
        if (scan.index !== 'byDue') return [...found];
        const late = found.map(({ row, revision }) => ({
          row: { ...row, dueAt: Number(row['dueAt']) + 60_000 },
          revision,
        }));
        return late.filter(({ row }) => scan.to === undefined || row.dueAt <= Number(scan.to[0]));
      },
    }),
  },
  {
    name: 'an event does not find the waits for it',
    promise: 6,
    caughtAs: [
      'what is due happens soon after its time',
      'a wait never misses a matching event',
      'a run ends as a plain interpreter says',
    ],
    plant: () => ({ rows: (scan, found) => (scan.index === 'byEvent' ? [] : [...found]) }),
  },
  {
    name: 'a wait does not look at what the log has',
    promise: 6,
    caughtAs: [
      'what is due happens soon after its time',
      'a wait never misses a matching event',
      'a run ends as a plain interpreter says',
    ],
    plant: () => ({ rows: (scan, found) => (scan.index === 'byName' ? [] : [...found]) }),
  },
  {
    name: 'two events get one position',
    promise: 9,
    caughtAs: ['positions of a log are dense and in commit order'],
    plant: (random) => ({
      assigned: (writeSets, results) =>
        results.map((result, i) => {
          const writeSet = writeSets[i];
          if (!result.ok || writeSet === undefined || !appendsTo(writeSet, events) || !random.chance(0.2))
            return result;
          return { ...result, positions: result.positions.map((position) => position - 1) };
        }),
    }),
  },
  {
    name: 'an entry of the log shows up after later ones',
    promise: 9,
    caughtAs: ['a reader of a log skips nothing'],
    plant: (random) => ({
      rows: (scan, found) =>
        scan.table === events && scan.index === undefined && random.chance(0.3) ? found.slice(1) : [...found],
    }),
  },
  {
    name: 'a wait is lost',
    promise: 10,
    caughtAs: [
      'what a recorded run does is in its trail',
      'every run has a wake-up source',
      'a run counts its open waits',
    ],
    plant: (random) => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => (random.chance(0.05) ? without(waits)(writeSet) : writeSet)),
    }),
  },
  {
    name: 'waits stay when their run ends',
    promise: 10,
    caughtAs: ['no wait outlives its run', 'a step that is over does not wait'],
    plant: () => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => {
          const ends = writeSet.puts.some(({ table, row }) => table === runs && row['endedAt'] !== null);
          return ends ? { ...writeSet, deletes: writeSet.deletes.filter(({ table }) => table !== waits) } : writeSet;
        }),
    }),
  },
];
