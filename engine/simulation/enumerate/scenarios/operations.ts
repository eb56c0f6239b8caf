// Scenarios of what people do to runs, and callers to events: cancel, pause, retry, patch, run again, emit again.

import type { Scenario } from '../scenario.ts';
import {
  cancelled,
  child,
  handlerThrows,
  invoke,
  meanwhile,
  parallel,
  pauseAt,
  program,
  retryAt,
  scenario,
  send,
  sleep,
  step,
  twoSteps,
  wait,
} from './parts.ts';

const busy = program([step('slow', { bodyMs: 2_000 })]);

export const operationScenarios: readonly Scenario[] = [
  {
    name: 'cancel before a worker has it',
    programs: [busy],
    jobsMax: 1,
    course: ({ at, begin, client }) => {
      at(0, () => begin(busy, 'another'));
      at(500, async () => {
        await begin(busy, 'another');
        const runId = await begin(busy);
        if (runId !== undefined) await client.cancel(runId);
      });
    },
  },
  cancelled('cancel while sleeping', 1_000, [sleep('nap', 5_000)]),
  cancelled('cancel while a body runs', 1_000, [step('slow', { bodyMs: 3_000 }), step('after')]),
  cancelled('cancel while waiting for an event', 1_000, [wait('for')]),
  cancelled('cancel with a child', 1_000, [invoke(child([sleep('inner', 2_000)]))]),
  cancelled('cancel while a retry waits', 700, [step('flaky', { failures: 2 })]),
  cancelled('cancel about when it ends', 300, twoSteps),
  scenario('pause while sleeping, past its time', {
    nodes: [sleep('nap', 1_500), step('after')],
    more: [pauseAt(700, 2_500)],
  }),
  scenario('pause while a body runs', {
    nodes: [step('slow', { bodyMs: 2_000 }), step('after')],
    more: [pauseAt(800, 3_000)],
  }),
  scenario('pause of two branches, one of which runs', {
    nodes: [
      parallel([
        [step('slow', { bodyMs: 2_000 }), step('a')],
        [sleep('nap', 500), step('b')],
      ]),
    ],
    more: [pauseAt(300, 4_000)],
  }),
  scenario('pause while its event comes', {
    nodes: [wait('for'), step('after')],
    more: [pauseAt(500, 2_000), send(1_200)],
  }),
  scenario('pause while a retry waits', { nodes: [step('flaky', { failures: 2 })], more: [pauseAt(300, 2_000)] }),
  scenario('pause while the whole run waits to be retried', {
    nodes: [step('one'), handlerThrows(1), step('two')],
    more: [pauseAt(200, 2_000)],
  }),
  scenario('pause while a child works', { nodes: [invoke(child([sleep('inner', 900)]))], more: [pauseAt(400, 2_000)] }),
  scenario('pause, and the worker dies', {
    nodes: [step('slow', { bodyMs: 2_000 }), step('after')],
    more: [pauseAt(600, 9_000), meanwhile(900, ({ cluster }) => cluster.workers()[0]?.kill())],
  }),
  scenario('pause about when it ends', { nodes: twoSteps, more: [pauseAt(30, 500)] }),
  scenario('retry of a run whose handler failed', {
    nodes: [step('one'), handlerThrows(3), step('two')],
    more: [retryAt(4_000)],
  }),
  scenario('retry of a run that a step failed', {
    nodes: [step('one'), step('hopeless', { end: 'exhausted' })],
    more: [retryAt(4_000)],
  }),
  scenario('retry from an earlier step, twice', {
    nodes: [step('one'), step('two'), sleep('nap', 100), handlerThrows(3), step('three')],
    more: [retryAt(4_000, 'two'), retryAt(4_400, 'two')],
  }),
  scenario('retry while a child of before still works', {
    nodes: [parallel([[step('hopeless', { end: 'final' })], [invoke(child([sleep('inner', 4_000)]))]])],
    more: [retryAt(1_000)],
  }),
  scenario('retry from a step gives up a child', {
    nodes: [step('one'), parallel([[step('hopeless', { end: 'final' })], [invoke(child([sleep('inner', 4_000)]))]])],
    more: [retryAt(1_000, 'one')],
  }),
  scenario('a step is patched, and its run retried', {
    nodes: [step('one'), handlerThrows(3), step('two')],
    more: [retryAt(4_000, undefined, (operator, runId) => operator.patch(`${runId}:one:0`, 7))],
  }),
  scenario('a run is run again', {
    nodes: [step('one'), sleep('nap', 100)],
    more: [
      ({ at, begin, cluster, operator }) =>
        at(1_500, async () => {
          const [first] = cluster.options.programs;
          const runId = first && (await begin(first));
          if (runId !== undefined) await operator.rerun(runId);
        }),
    ],
  }),
  scenario(
    'two engines: pause',
    { nodes: [sleep('nap', 900), step('after')], more: [pauseAt(400, 2_000)] },
    { engines: 2 },
  ),
  scenario(
    'two engines: retry',
    { nodes: [step('one'), handlerThrows(3), step('two')], more: [retryAt(4_000, 'one')] },
    { engines: 2 },
  ),
  scenario('one intention, emitted three times', {
    nodes: [step('one')],
    more: [
      ({ at, client, cluster }) => {
        for (const ms of [0, 1, 900]) {
          at(ms, () => {
            const [first] = cluster.options.programs;
            return first && client.begin(first, 'key');
          });
        }
      },
    ],
  }),
  cancelled('two engines: cancel', 800, [sleep('nap', 5_000)], { engines: 2 }),
];
