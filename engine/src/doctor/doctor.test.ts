// Corruption is planted in a store with work in it; the doctor finds each kind, and its repairs let the work go on.

import type { JsonText } from '@ironflow/core';
import { afterEach, describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { createSecretBox } from '../ports/secret-box.ts';
import { MemoryStore } from '../store/memory/index.ts';
import { emptyWriteSet, type Store, type WriteSet } from '../store/port.ts';
import { SqliteStore } from '../store/sqlite/index.ts';
import { type Key, keyOf, type Row, type Table } from '../store/table.ts';
import {
  attempts,
  cursors,
  events,
  functionVersions,
  matchPaths,
  registries,
  runAttributes,
  runAudit,
  runs,
  secrets,
  sessions,
  steps,
  waits,
} from '../store/tables.ts';
import { openTestEngine, type TestEngine, temporaryDirectory } from '../test-support/index.ts';
import { examineAll, type Finding } from './index.ts';

const worker = 'test-worker-1';
const secretKey = Buffer.alloc(32);
const settings = { secretKeys: [secretKey.toString('hex')] };

const sleeper = createFunction({ id: 'sleeper', triggers: [{ event: 'sleep' }] }, async ({ step }) => {
  const first = await step.run('first', () => 'one');
  await step.sleep('nap', '1h');
  return first;
});
const listener = createFunction({ id: 'listener', triggers: [{ event: 'listen' }] }, async ({ step }) => {
  await step.run('first', () => 'one');
  const heard = await step.waitForEvent('hear', { event: 'heard', match: 'data.id', timeout: '1h' });
  return heard.data;
});
const parent = createFunction({ id: 'parent', triggers: [{ event: 'invoke' }] }, async ({ step }) =>
  step.invoke('child', {}, { timeout: '2h' }),
);
const child = createFunction({ id: 'child', triggers: [] }, async ({ step }) => {
  await step.sleep('nap', '30m');
  return 'from the child';
});
const quick = createFunction({ id: 'quick', triggers: [{ event: 'quick' }] }, async ({ step }) =>
  step.run('only', () => 42),
);
const stuck = createFunction({ id: 'stuck', triggers: [{ event: 'stick' }] }, async ({ step }) =>
  step.run('for-ever', () => new Promise<never>(() => {})),
);

interface Patient extends TestEngine {
  readonly ids: Readonly<Record<'sleep' | 'listen' | 'invoke' | 'quick' | 'stick', string>>;
  /** Writes past the engine. */
  write(part: Partial<WriteSet>): Promise<void>;
  change<R extends Row>(table: Table<R>, key: Key, change: (row: R) => Partial<R>): Promise<void>;
  remove(table: Table, key: Key): Promise<void>;
  insert<R extends Row>(table: Table<R>, row: R): Promise<void>;
  row<R extends Row>(table: Table<R>, key: Key): Promise<R>;
  findings(): Promise<Finding[]>;
}

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
});

async function openPatient(store: Store): Promise<Patient> {
  const harness = await openTestEngine({ store, settings });
  const { clock } = harness;
  await harness.worker([sleeper, listener, parent, child, quick, stuck]);
  const emitted = async (name: string) => (await harness.emit(name, { id: 7 })).runIds[0] ?? '';
  const ids = {
    sleep: await emitted('sleep'),
    listen: await emitted('listen'),
    invoke: await emitted('invoke'),
    quick: await emitted('quick'),
    stick: await emitted('stick'),
  };
  await clock.settle();
  await clock.advance(40_000);
  const write = async (part: Partial<WriteSet>) => {
    const [result] = await store.commit([{ ...emptyWriteSet, ...part }]);
    expect(result?.ok).toBe(true);
  };
  const stored = async (table: Table, key: Key) => {
    const [found] = await store.get(table, [key]);
    if (!found) throw new Error(`no row ${table.name} ${key.join(' ')}`);
    return found;
  };
  return {
    ...harness,
    ids,
    write,
    async change(table, key, change) {
      const { row, revision } = await stored(table as never, key);
      const changed = { ...row, ...change(row as never) };
      await write({ puts: [{ table, row: changed, expected: revision, revision: revision + 1 }] });
    },
    async remove(table, key) {
      await write({ deletes: [{ table, key, expected: undefined }] });
    },
    async insert(table, row) {
      await write({ puts: [{ table, row, expected: null, revision: 1 }] });
    },
    row: async (table, key) => (await stored(table as never, key)).row as never,
    findings: () => examineAll({ store, clock }),
  };
}

interface Corruption {
  readonly check: string;
  readonly plant: (patient: Patient) => Promise<void>;
  /** Runs that complete once it is repaired. */
  readonly completes?: readonly (keyof Patient['ids'])[];
  /** Nothing safe can be done. */
  readonly beyondRepair?: true;
}

const stepId = (runId: string, name: string) => `${runId}:${name}:0`;

const corruptions: Readonly<Record<string, Corruption>> = {
  'one of several events whose step waits no more': {
    check: 'alternative-of-nothing',
    plant: async ({ insert, change, row, ids }) => {
      const nap = stepId(ids.sleep, 'nap');
      const wait = await row(waits, [ids.sleep, nap]);
      const alternative = { ...wait, stepId: `${nap}:?00`, kind: 'alternative' as const, dueAt: null, anyOf: 'gone' };
      await insert(waits, alternative);
      await change(runs, [ids.sleep], ({ openWaits }) => ({ openWaits: openWaits + 1 }));
    },
  },
  'a run that has ended and is to be undone': {
    check: 'ending-of-ended-run',
    plant: ({ change, ids }) => change(runs, [ids.quick], () => ({ ending: '{}' as JsonText })),
  },
  'a queued run that is not offered': {
    check: 'no-wake-up',
    plant: ({ change, ids }) =>
      change(runs, [ids.stick], () => ({
        status: 'queued',
        readyAt: null,
        leaseSession: null,
        leaseToken: null,
        leasedAt: null,
        deadlineAt: null,
      })),
  },
  'a waiting run without its wait': {
    check: 'no-wake-up',
    plant: ({ remove, ids }) => remove(waits, [ids.sleep, stepId(ids.sleep, 'nap')]),
    completes: ['sleep'],
  },
  'a paused run, and nobody who paused it': {
    check: 'no-wake-up',
    plant: ({ change, ids }) => change(runs, [ids.sleep], () => ({ status: 'paused' })),
    completes: ['sleep'],
  },
  'a pause that is not kept': {
    check: 'pause-not-kept',
    plant: ({ change, ids }) =>
      change(runs, [ids.sleep], () => ({ pause: '{"at":1,"by":"ada","reason":""}' as never })),
  },
  'an audit entry without its run': {
    check: 'orphan',
    plant: ({ insert }) =>
      insert(runAudit, {
        runId: 'run_gone',
        id: 'aud_1',
        env: 'default',
        functionId: 'f',
        stepId: null,
        type: 'run.paused',
        actor: 'ada',
        reason: null,
        payload: null,
        createdAt: 1,
        expiresAt: null,
      }),
  },
  'an attribute without its run': {
    check: 'orphan',
    plant: ({ insert }) => insert(runAttributes, { runId: 'run_gone', name: 'orderId', env: 'default', value: '42' }),
  },
  'a running run with half a lease': {
    check: 'no-wake-up',
    plant: ({ change, ids }) => change(runs, [ids.stick], () => ({ deadlineAt: null })),
  },
  'a lease of a session that is not there': {
    check: 'lease-of-nobody',
    plant: ({ change, ids }) => change(runs, [ids.stick], () => ({ leaseSession: 'nobody' })),
  },
  'a lease of a session that has been emptied': {
    check: 'lease-of-expired-session',
    plant: ({ change }) => change(sessions, [worker], () => ({ expired: true, expiresAt: null })),
  },
  'a deadline long past': {
    check: 'overdue-deadline',
    plant: ({ change, ids, clock }) => change(runs, [ids.stick], () => ({ deadlineAt: clock.now() - 120_000 })),
    beyondRepair: true,
  },
  'a timer long past': {
    check: 'overdue-timer',
    plant: ({ change, ids, clock }) =>
      change(waits, [ids.sleep, stepId(ids.sleep, 'nap')], () => ({ dueAt: clock.now() - 120_000 })),
    beyondRepair: true,
  },
  'an expiry long past': {
    check: 'overdue-expiry',
    plant: ({ change, clock }) => change(sessions, [worker], () => ({ expiresAt: clock.now() - 120_000 })),
    beyondRepair: true,
  },
  'a run that counts its waits wrongly': {
    check: 'open-waits-count',
    plant: ({ change, ids }) => change(runs, [ids.sleep], () => ({ openWaits: 3 })),
    completes: ['sleep'],
  },
  'a run that counts its wakes wrongly': {
    check: 'wakes-count',
    plant: async ({ insert, row, ids }) => {
      const first = await row(steps, [ids.sleep, stepId(ids.sleep, 'first')]);
      await insert(steps, { ...first, stepId: stepId(ids.sleep, 'other'), sequence: 90, resolution: 5 });
    },
  },
  'a wait of a run that has ended': {
    check: 'wait-of-ended-run',
    plant: async ({ insert, row, ids }) => {
      const nap = await row(waits, [ids.sleep, stepId(ids.sleep, 'nap')]);
      await insert(waits, { ...nap, runId: ids.quick, stepId: stepId(ids.quick, 'nap') });
    },
  },
  'a wait of a step that has ended': {
    check: 'wait-of-finished-step',
    plant: async ({ insert, row, change, ids }) => {
      const nap = await row(waits, [ids.sleep, stepId(ids.sleep, 'nap')]);
      await insert(waits, { ...nap, stepId: stepId(ids.sleep, 'first') });
      await change(runs, [ids.sleep], () => ({ openWaits: 2 }));
    },
    completes: ['sleep'],
  },
  'a sleep without an end': {
    check: 'wait-without-time',
    plant: ({ change, ids }) => change(waits, [ids.sleep, stepId(ids.sleep, 'nap')], () => ({ dueAt: null })),
    completes: ['sleep'],
  },
  'a wait that no event knows of': {
    check: 'wait-not-listed',
    plant: ({ remove }) => remove(matchPaths, ['default', 'heard', 'data.id']),
  },
  'a parent that was not told of the end of its child': {
    check: 'child-has-ended',
    plant: async ({ change, store, clock, ids }) => {
      const children = await store.scan({ table: runs, index: 'byParent', prefix: [ids.invoke], limit: 1 });
      const childId = children[0]?.row.id ?? '';
      await store.commit([
        { ...emptyWriteSet, deletes: [{ table: waits, key: [childId, stepId(childId, 'nap')], expected: undefined }] },
      ]);
      await change(runs, [childId], () => ({
        status: 'completed',
        output: '"told late"' as never,
        openWaits: 0,
        endedAt: clock.now(),
      }));
    },
    completes: ['invoke'],
  },
  'an ended run that is offered': {
    check: 'ready-but-not-queued',
    plant: ({ change, ids }) => change(runs, [ids.quick], () => ({ readyAt: 1 })),
  },
  'a lease on a run that sleeps': {
    check: 'lease-on-idle-run',
    plant: ({ change, ids }) =>
      change(runs, [ids.sleep], () => ({ leaseSession: worker, leaseToken: 't', leasedAt: 1, deadlineAt: 9e15 })),
    completes: ['sleep'],
  },
  'an ended run without a time of its end': {
    check: 'end-time',
    plant: ({ change, ids }) => change(runs, [ids.quick], () => ({ endedAt: null })),
  },
  'a completed run without an output': {
    check: 'end-without-result',
    plant: ({ change, ids }) => change(runs, [ids.quick], () => ({ output: null })),
    beyondRepair: true,
  },
  'a completed step with an error': {
    check: 'step-without-result',
    plant: ({ change, ids }) =>
      change(steps, [ids.sleep, stepId(ids.sleep, 'first')], () => ({ error: '{}' as never })),
    beyondRepair: true,
  },
  'an output that is not JSON': {
    check: 'unreadable-json',
    plant: ({ change, ids }) =>
      change(steps, [ids.sleep, stepId(ids.sleep, 'first')], () => ({ output: '{"half' as never })),
    beyondRepair: true,
  },
  'a fence that went back': {
    check: 'step-beyond-fence',
    plant: ({ change, ids }) => change(runs, [ids.sleep], () => ({ fence: 0 })),
    completes: ['sleep'],
  },
  'two steps in one place': {
    check: 'steps-in-one-place',
    plant: async ({ insert, row, ids }) => {
      const first = await row(steps, [ids.sleep, stepId(ids.sleep, 'first')]);
      await insert(steps, { ...first, stepId: stepId(ids.sleep, 'other') });
    },
    beyondRepair: true,
  },
  'a step of no run': {
    check: 'orphan',
    plant: async ({ insert, row, ids }) => {
      const first = await row(steps, [ids.sleep, stepId(ids.sleep, 'first')]);
      await insert(steps, { ...first, runId: 'run_gone' });
    },
  },
  'a wait of no run': {
    check: 'orphan',
    plant: async ({ insert, row, ids }) => {
      const nap = await row(waits, [ids.sleep, stepId(ids.sleep, 'nap')]);
      await insert(waits, { ...nap, runId: 'run_gone' });
    },
  },
  'an attempt of no run': {
    check: 'orphan',
    plant: ({ insert }) =>
      insert(attempts, {
        runId: 'run_gone',
        stepId: '',
        number: 1,
        name: '',
        fence: 1,
        sessionId: null,
        outcome: 'unknown',
        error: null,
        startedAt: null,
        endedAt: 1,
      }),
  },
  'a gap in a log': {
    check: 'gap-in-log',
    plant: ({ remove }) => remove(events, ['default', 3]),
    beyondRepair: true,
  },
  'a reader beyond the end of its log': {
    check: 'cursor-beyond-log',
    plant: async ({ store, insert, change }) => {
      const [cursor] = await store.scan({ table: cursors, limit: 1 });
      if (cursor === undefined) await insert(cursors, { env: 'default', name: 'event-matcher', position: 99 });
      else await change(cursors, keyOf(cursors, cursor.row), () => ({ position: 99 }));
    },
  },
  'a function without its version': {
    check: 'version-missing',
    plant: ({ remove }) => remove(functionVersions, ['default', 'quick', 1]),
  },
  'an environment that is not there': {
    check: 'environment-missing',
    plant: ({ remove }) => remove(registries, ['default']),
  },
  'a run of a version that is not there': {
    check: 'version-of-run-missing',
    plant: ({ change, ids }) => change(runs, [ids.sleep], () => ({ functionVersion: 9 })),
    beyondRepair: true,
  },
  'a session that never expires': {
    check: 'session-without-end',
    plant: ({ change }) => change(sessions, [worker], () => ({ expiresAt: null })),
  },
  'two current values of one secret': {
    check: 'secret-not-retired',
    async plant({ insert }) {
      const row = {
        env: 'default',
        name: 'KEY',
        ...createSecretBox([secretKey]).seal('value', ''),
        createdAt: 1,
        retiredAt: null,
      };
      await insert(secrets, { ...row, number: 1 });
      await insert(secrets, { ...row, number: 2 });
    },
  },
};

describe.each([
  ['memory', () => new MemoryStore()],
  [
    'sqlite',
    () => {
      const directory = temporaryDirectory();
      cleanUps.push(() => directory.remove());
      return new SqliteStore({ directory: directory.path });
    },
  ],
] as const)('doctor on %s', (_name, open) => {
  test('finds nothing in a store that only engines wrote', async () => {
    const patient = await openPatient(open());
    expect(await patient.findings()).toEqual([]);
    await patient.emit('heard', { id: 7 });
    await patient.clock.advance(3 * 3_600_000);
    expect(await patient.findings()).toEqual([]);
  });

  test.each(Object.entries(corruptions))('finds %s', async (_what, { check, plant, completes = [], beyondRepair }) => {
    const patient = await openPatient(open());
    const { store, clock, ids } = patient;
    await patient.engine.close(); // an engine would mend some of it before the doctor looks
    await plant(patient);
    const found = await patient.findings();
    expect(found.map((finding) => finding.check)).toContain(check);
    const finding = found.find((one) => one.check === check);
    expect(finding?.message).toMatch(/\.$|\?$/);
    expect(finding?.rows.length).toBeGreaterThan(0);
    expect(finding?.apply === undefined).toBe(beyondRepair === true);

    const next = await openTestEngine({ store, clock, settings });
    await next.engine.repair(found);
    if (beyondRepair !== true) {
      expect((await patient.findings()).filter((one) => one.check === check)).toEqual([]);
      await next.worker([sleeper, listener, parent, child, quick, stuck], { id: 'second' });
      await clock.advance(4 * 3_600_000);
      for (const name of completes) {
        expect([name, (await next.engine.getRun('default', ids[name])).status]).toEqual([name, 'completed']);
      }
    }
    await next.engine.close();
  });

  test('knows at least 20 kinds of corruption', () => {
    expect(new Set(Object.values(corruptions).map(({ check }) => check)).size).toBeGreaterThanOrEqual(20);
  });
});
