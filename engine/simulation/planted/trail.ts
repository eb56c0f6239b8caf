// Planted bugs in what is kept beside the runs: trails, versions, secrets.

import type { Row } from '../../src/store/table.ts';
import { functionVersions, runAttributes, runAudit, secrets } from '../../src/store/tables.ts';
import type { BugDescription } from './bug.ts';
import { without } from './write-sets.ts';

export const trailBugs: readonly BugDescription[] = [
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
    name: 'an attribute of a run is lost now and then',
    promise: 16,
    caughtAs: ['a run has the attributes of its event from its start on'],
    plant: (random) => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => ({
          ...writeSet,
          puts: writeSet.puts.filter(({ table }) => (table as unknown) !== runAttributes || !random.chance(0.2)),
        })),
    }),
  },
  {
    name: 'a run is found by an attribute of another one',
    promise: 16,
    caughtAs: ['a run has the attributes of its event from its start on'],
    plant: () => {
      let last: Row | undefined;
      return {
        writeSets: async (writeSets) =>
          writeSets.map((writeSet) => ({
            ...writeSet,
            puts: writeSet.puts.map((put) => {
              if ((put.table as unknown) !== runAttributes || put.row['name'] !== 'key') return put;
              const value = last?.['value'] ?? put.row['value'];
              last = put.row;
              return { ...put, row: { ...put.row, value: value ?? '' } };
            }),
          })),
      };
    },
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
  {
    name: 'a new version is not kept',
    promise: 12,
    caughtAs: ['a run’s version is registered'],
    plant: (random) => ({
      writeSets: async (writeSets) =>
        writeSets.map((writeSet) => (random.chance(0.3) ? without(functionVersions)(writeSet) : writeSet)),
    }),
  },
];
