// Planted bugs in who may work on a run: claims, fences, leases.

import { engines, runs, sessions } from '../../src/store/tables.ts';
import type { BugDescription } from './bug.ts';
import { forced } from './write-sets.ts';

export const claimBugs: readonly BugDescription[] = [
  {
    name: 'a store that overlooks queued runs now and then',
    promise: 15,
    caughtAs: ['a run that is ready goes to a worker with room', 'every run ends'],
    plant: (random) => ({ engines: 1, claim: (claim) => (random.chance(0.1) ? { ...claim, limit: 0 } : claim) }),
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
];
