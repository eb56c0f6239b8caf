// Planted bugs: what the checker must catch. Each is put in from outside (the store, a clock, a worker's care), so that the engine
// has no test switches in it; each breaks one promise, and names the checks of which one must say so.

import {
  type Claim,
  type CommitResult,
  emptyWriteSet,
  type Put,
  type Scan,
  type Store,
  type Stored,
  type WriteSet,
} from '../src/store/port.ts';
import { type Key, keyOf, type Row, type Table } from '../src/store/table.ts';
import {
  attempts,
  engines,
  events,
  functionVersions,
  idempotencyKeys,
  type RunRow,
  runAudit,
  runs,
  secrets,
  sessions,
  steps,
  topicMessages,
  waits,
} from '../src/store/tables.ts';
import type { Faults } from './cluster.ts';
import type { Random } from './random.ts';

/** What a store does wrong. */
export interface PlantedStore {
  /** What it applies in place of what it was given. */
  readonly writeSets?: (writeSets: readonly WriteSet[], store: Pick<Store, 'get'>) => Promise<WriteSet[]>;
  /** What it answers in place of what came of it. */
  readonly results?: (writeSets: readonly WriteSet[], results: readonly CommitResult[]) => CommitResult[];
  /** What it assigns (positions, stamps) in place of what it should. */
  readonly assigned?: (writeSets: readonly WriteSet[], results: readonly CommitResult[]) => CommitResult[];
  readonly claim?: (claim: Claim) => Claim;
  /** What a scan finds, in place of what is there. */
  readonly rows?: (scan: Scan, found: readonly Stored[]) => Stored[];
}

export interface PlantedBug extends PlantedStore {
  /** Engines' clocks are ahead by this, and nobody expects it. */
  readonly clockAheadMs?: number;
  /** A worker goes on as if its leases stood. */
  readonly ignoresLeases?: boolean;
  /** No engine hears of another. */
  readonly losesNews?: boolean;
  readonly engines?: number;
  /** Faults without which it would seldom show. */
  readonly faults?: Partial<Faults>;
}

export interface BugDescription {
  readonly name: string;
  /** The promise that it breaks (promises.ts). */
  readonly promise: number;
  /** Checks that may be the first to see it. */
  readonly caughtAs: readonly string[];
  readonly plant: (random: Random) => PlantedBug;
}

export const noBug: PlantedBug = {};

export const plantedBugs: readonly BugDescription[] = [
  {
    name: 'a store forgets that a run is to be undone',
    promise: 7,
    caughtAs: [
      'what a recorded run does is in its trail',
      'a wait leaves with its outcome',
      'compensations run only after a terminal failure or an asked-for cancel',
      'what can be undone is undone',
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
    name: 'a store that overlooks queued runs now and then',
    promise: 15,
    caughtAs: ['a run that is ready goes to a worker with room', 'every run ends'],
    plant: (random) => ({ engines: 1, claim: (claim) => (random.chance(0.1) ? { ...claim, limit: 0 } : claim) }),
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
    name: 'a store lets an outdated run through',
    promise: 3,
    caughtAs: [
      'a fence only grows',
      'only the holder of the lease writes',
      'a run has one lease at a time',
      'a run counts its open waits',
      'a run that has ended never changes',
      'every run has a wake-up source',
    ],
    plant: () => ({
      engines: 3,
      writeSets: (writeSets, store) => Promise.all(writeSets.map((one) => forced(one, store, [runs]))),
    }),
  },
  {
    name: 'a claim does not raise the fence',
    promise: 3,
    caughtAs: ['every lease raises the fence', 'a run has one lease at a time'],
    plant: () => ({ claim: (claim) => ({ ...claim, increment: [] }) }),
  },
  {
    name: 'a claim gives runs to a session that has expired',
    promise: 3,
    caughtAs: ['a lease is given only to a session that is alive'],
    plant: () => {
      let expired: string | undefined;
      return {
        writeSets: async (writeSets) => {
          for (const { puts } of writeSets) {
            const put = puts.find(({ table, row }) => table === sessions && row['expired'] === true);
            if (put !== undefined) expired = String(put.row['id']);
          }
          return [...writeSets];
        },
        claim: (claim) => (expired === undefined ? claim : { ...claim, set: { ...claim.set, leaseSession: expired } }),
      };
    },
  },
  {
    name: 'a worker does not watch its leases',
    promise: 4,
    caughtAs: [
      'a body starts under a lease that stands',
      'a completed step is never started again',
      'a body starts again only after its lease ended or its failure was reported',
    ],
    plant: () => ({ ignoresLeases: true, faults: { workerLifeMs: 4_000, freeze: 0.9, networkMs: 100 } }),
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
    name: 'what people do to runs leaves no trace',
    promise: 2,
    caughtAs: [
      'a run that has ended never changes',
      'a recorded step never changes',
      'what a recorded run does is in its trail',
    ],
    plant: () => ({ writeSets: async (writeSets) => writeSets.map(without(runAudit)) }),
  },
  {
    name: 'a run that is paused is still on offer',
    promise: 10,
    caughtAs: ['every run has a wake-up source', 'a paused run is given to nobody'],
    plant: () => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => ({
          ...writeSet,
          puts: writeSet.puts.map((put) =>
            put.table === runs && put.row['status'] === 'paused' ? { ...put, row: { ...put.row, readyAt: 1 } } : put,
          ),
        })),
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
    name: 'an engine thinks that it is alone and hears of nobody',
    promise: 10,
    caughtAs: [
      'a run that is ready goes to a worker with room',
      'every run ends',
      'what is due happens soon after its time',
    ],
    plant: () => ({
      engines: 3,
      losesNews: true,
      rows: (scan, found) => (scan.table === engines ? [] : [...found]),
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
  {
    name: 'a new version is not kept',
    promise: 12,
    caughtAs: ['a run’s version is registered'],
    plant: (random) => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => (random.chance(0.3) ? without(functionVersions)(writeSet) : writeSet)),
    }),
  },
  {
    name: 'a recorded run does something that is not in its trail',
    promise: 13,
    caughtAs: ['what a recorded run does is in its trail'],
    plant: (random) => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => ({
          ...writeSet,
          puts: writeSet.puts.filter(
            ({ table, row }) => (table as unknown) !== runAudit || row['actor'] !== null || !random.chance(0.05),
          ),
        })),
    }),
  },
  {
    name: 'audit entries are to leave early',
    promise: 13,
    caughtAs: ['an audit entry stays for its function’s retention'],
    plant: () => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => ({
          ...writeSet,
          puts: writeSet.puts.map((put) =>
            (put.table as unknown) === runAudit && put.row['expiresAt'] !== null
              ? { ...put, row: { ...put.row, expiresAt: Number(put.row['expiresAt']) - 10_000 } }
              : put,
          ),
        })),
    }),
  },
  {
    name: 'audit entries do not leave',
    promise: 13,
    caughtAs: ['nothing is overdue at the end'],
    plant: () => ({
      rows: (scan, found) => ((scan.table as unknown) === runAudit && scan.index === 'byExpiry' ? [] : [...found]),
    }),
  },
  {
    name: 'values that a secret had before are forgotten',
    promise: 14,
    caughtAs: ['a secret is stored nowhere'],
    plant: () => ({
      rows: (scan, found) =>
        (scan.table as unknown) === secrets ? found.filter(({ row }) => row['retiredAt'] === null) : [...found],
    }),
  },
];

const appendsTo = (writeSet: WriteSet, log: Table) => writeSet.appends.some((append) => append.log === log);

const without =
  (table: Table) =>
  (writeSet: WriteSet): WriteSet => ({ ...writeSet, puts: writeSet.puts.filter((put) => put.table !== table) });

const merged = (writeSet: WriteSet, put: Put): WriteSet =>
  writeSet.puts.some(({ table, row }) => table === put.table && row['id'] === put.row['id'])
    ? writeSet
    : { ...writeSet, puts: [...writeSet.puts, put] };

/** The write set with its revisions of these tables made to fit, whatever is stored. */
async function forced(writeSet: WriteSet, store: Pick<Store, 'get'>, tables: readonly Table[]): Promise<WriteSet> {
  return {
    ...writeSet,
    guards: writeSet.guards.filter(({ table }) => !tables.includes(table)),
    puts: await Promise.all(writeSet.puts.map((put) => (tables.includes(put.table) ? forcedPut(put, store) : put))),
  };
}

async function forcedPut(put: Put, store: Pick<Store, 'get'>): Promise<Put> {
  return { ...put, expected: await revisionNow(put.table, keyOf(put.table, put.row), store) };
}

/** Whether all that a write set expects is so. */
async function holds({ guards, puts, deletes }: WriteSet, store: Pick<Store, 'get'>): Promise<boolean> {
  const expected = [
    ...[...guards, ...deletes].filter((one) => one.expected !== undefined),
    ...puts.map(({ table, row, expected }) => ({ table, key: keyOf(table, row), expected })),
  ];
  for (const one of expected) {
    if ((await revisionNow(one.table, one.key, store)) !== one.expected) return false;
  }
  return true;
}

async function revisionNow(table: Table<Row>, key: Key, store: Pick<Store, 'get'>): Promise<number | null> {
  const [stored] = await store.get(table, [key]);
  return stored?.revision ?? null;
}
