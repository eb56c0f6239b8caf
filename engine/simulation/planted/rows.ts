// Planted bugs in what a store keeps of runs: rows that are lost, changed, or taken twice.

import { emptyWriteSet, type Put, type WriteSet } from '../../src/store/port.ts';
import { attempts, events, idempotencyKeys, type RunRow, runs, steps, topicMessages } from '../../src/store/tables.ts';
import type { BugDescription } from './bug.ts';
import { appendsTo, forced, forcedPut, holds, merged, without } from './write-sets.ts';

export const rowBugs: readonly BugDescription[] = [
  {
    name: 'a store forgets that a run is to be undone',
    promise: 7,
    caughtAs: [
      'what a recorded run does is in its trail',
      'a wait leaves with its outcome',
      'compensations run only after a terminal failure or an asked-for cancel',
      'what can be undone is undone',
      // The engine remembers the ending and takes no new step; the worker was told of none and began one.
      'an acknowledged step is stored',
    ],
    plant: () => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => ({
          ...writeSet,
          puts: writeSet.puts.map((put) => (put.table === runs ? { ...put, row: { ...put.row, ending: null } } : put)),
        })),
    }),
  },
  {
    name: 'a store acknowledges events that it drops',
    promise: 1,
    caughtAs: ['an acknowledged event is stored'],
    plant: (random) => {
      const dropped = new Set<WriteSet>();
      return {
        writeSets: async (writeSets) =>
          writeSets.map((writeSet) => {
            if (!appendsTo(writeSet, events) || !random.chance(0.2)) return writeSet;
            dropped.add(writeSet);
            return emptyWriteSet;
          }),
        results: (writeSets, results) =>
          results.map((result, i) => {
            const writeSet = writeSets[i];
            if (writeSet === undefined || !dropped.delete(writeSet)) return result;
            return { ok: true, positions: writeSet.appends.map(() => 1), stamps: writeSet.puts.map(() => 1) };
          }),
      };
    },
  },
  {
    name: 'a store forgets idempotency keys',
    promise: 1,
    caughtAs: ['an idempotency key has one outcome'],
    plant: () => ({ writeSets: async (writeSets) => writeSets.map(without(idempotencyKeys)) }),
  },
  {
    name: 'a store leaves out a step now and then',
    promise: 2,
    caughtAs: [
      'what a recorded run does is in its trail',
      'a publish step and its message are stored together',
      'an acknowledged step is stored',
      'a wait leaves with its outcome',
      'each start of a body is an attempt on record',
    ],
    plant: (random) => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => (random.chance(0.05) ? without(steps)(writeSet) : writeSet)),
    }),
  },
  {
    name: 'a store takes the second record of a step',
    promise: 2,
    caughtAs: [
      'what a recorded run does is in its trail',
      'a step is recorded once',
      'a recorded step never changes',
      'a step that is over does not wait',
    ],
    plant: () => ({
      writeSets: (writeSets, store) => Promise.all(writeSets.map((one) => forced(one, store, [steps]))),
    }),
  },
  {
    name: 'failed attempts are not kept',
    promise: 4,
    caughtAs: [
      'what a recorded run does is in its trail',
      'a body that must not run twice starts on record',
      'an attempt follows a failure on record',
      'each start of a body is an attempt on record',
    ],
    plant: () => ({ writeSets: async (writeSets) => writeSets.map(without(attempts)) }),
  },
  {
    name: 'lost leases are not on record',
    promise: 4,
    caughtAs: ['what a recorded run does is in its trail', 'each start of a body is an attempt on record'],
    plant: () => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => ({
          ...writeSet,
          puts: writeSet.puts.filter(({ table, row }) => table !== attempts || row['stepId'] !== ''),
        })),
    }),
  },
  {
    name: 'a store drops messages of topics',
    promise: 1,
    caughtAs: ['a publish step and its message are stored together'],
    plant: () => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) =>
          appendsTo(writeSet, topicMessages)
            ? {
                ...writeSet,
                appends: writeSet.appends.filter(({ log }) => (log as unknown) !== topicMessages),
                puts: writeSet.puts.map(({ stamp: _, ...put }) => put),
              }
            : writeSet,
        ),
    }),
  },
  {
    name: 'a store forgets the starts of bodies that must not run twice',
    promise: 4,
    caughtAs: [
      'what a recorded run does is in its trail',
      'a body that must not run twice starts on record',
      'a body that must not run twice does not',
    ],
    plant: () => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => ({
          ...writeSet,
          puts: writeSet.puts.filter(
            ({ table, row }) =>
              !((table as unknown) === attempts && row['outcome'] === 'unknown' && row['stepId'] !== ''),
          ),
        })),
    }),
  },
  {
    name: 'a run that has ended is ended again',
    promise: 10,
    caughtAs: ['what a recorded run does is in its trail', 'a run that has ended never changes'],
    plant: (random) => {
      let ended: RunRow | undefined;
      return {
        writeSets: async (writeSets, store) => {
          const again = ended;
          ended = undefined;
          for (const { puts } of writeSets) {
            const put = puts.find(({ table, row }) => table === runs && row['status'] === 'completed');
            if (put !== undefined && random.chance(0.3)) ended = put.row as RunRow;
          }
          if (again === undefined) return [...writeSets];
          const [stored] = await store.get(runs, [[again.id]]);
          if (stored?.row.status !== 'completed') return [...writeSets];
          const put: Put = {
            table: runs,
            row: { ...stored.row, status: 'failed' },
            expected: stored.revision,
            revision: stored.revision + 1,
          };
          return [...writeSets.slice(0, -1), merged(writeSets.at(-1) ?? emptyWriteSet, put)];
        },
      };
    },
  },
  {
    name: 'half of a refused write set is applied',
    promise: 11,
    caughtAs: [
      'what a recorded run does is in its trail',
      'a recorded step never changes',
      'a step is recorded once',
      'a run counts its open waits',
      'a step that is over does not wait',
      'every run has a wake-up source',
      'only the holder of the lease writes',
      'a wait leaves with its outcome',
      'a run that has ended never changes',
      'a fence only grows',
      'a run has one lease at a time',
      'an idempotency key has one outcome',
      'no wait outlives its run',
    ],
    plant: () => ({
      engines: 2,
      // The last put of a write set is written whatever the guards say.
      writeSets: async (writeSets, store) =>
        Promise.all(
          writeSets.map(async (writeSet) => {
            const last = writeSet.puts.at(-1);
            if (last === undefined || (await holds(writeSet, store))) return writeSet;
            return { ...emptyWriteSet, puts: [await forcedPut(last, store)] };
          }),
        ),
    }),
  },
];
