// Scenarios of processes: killed, frozen, replaced, and two engines at once.

import type { Scenario } from '../scenario.ts';
import { child, invoke, meanwhile, scenario, send, sleep, step, twoSteps, wait } from './parts.ts';

export const processScenarios: readonly Scenario[] = [
  scenario(
    'a deadline that a retry meets',
    { nodes: [step('hangs', { bodyMs: 60_000 })], options: { timeoutMs: 2_000, maxAttempts: 2 } },
    { ends: { main: ['failed FUNCTION_TIMEOUT'] } },
  ),
  scenario('a worker killed in a body', {
    nodes: [step('one'), step('slow', { bodyMs: 1_500 }), step('after')],
    more: [meanwhile(900, ({ cluster }) => cluster.workers()[0]?.kill())],
  }),
  scenario(
    'a worker frozen past its lease',
    {
      nodes: [step('one'), step('slow', { bodyMs: 1_500 }), step('after')],
      more: [meanwhile(900, ({ cluster }) => cluster.workers()[0]?.freeze(9_000))],
    },
    { workers: 2 },
  ),
  scenario('a worker frozen and back in time', {
    nodes: [step('slow', { bodyMs: 1_500 }), step('after')],
    more: [meanwhile(900, ({ cluster }) => cluster.workers()[0]?.freeze(1_000))],
  }),
  scenario('an engine killed while a worker works', {
    nodes: [step('slow', { bodyMs: 1_500 }), wait('for')],
    more: [meanwhile(900, ({ cluster }) => cluster.engines()[0]?.kill('by the scenario')), send(3_000)],
  }),
  scenario('new code in the middle', {
    nodes: [sleep('nap', 1_500), step('after')],
    more: [
      meanwhile(700, ({ client, cluster }) => {
        client.deploy();
        cluster.workers()[0]?.kill();
      }),
    ],
  }),
  scenario('two engines: steps', { nodes: twoSteps }, { engines: 2 }),
  scenario('two engines: sleep', { nodes: [sleep('nap'), step('after')] }, { engines: 2 }),
  scenario('two engines: wait', { nodes: [wait('for')], more: [send(1_000)] }, { engines: 2 }),
  scenario(
    'two engines: an event before a wait times out',
    { nodes: [wait('for', { sent: 'perhaps' })], more: [send(7_000)] },
    { engines: 2 },
  ),
  scenario('two engines: invoke', { nodes: [invoke(child([step('inner')]))] }, { engines: 2, workers: 2 }),
  scenario(
    'two engines: one is frozen',
    {
      nodes: [sleep('nap', 900), wait('for')],
      more: [meanwhile(400, ({ cluster }) => cluster.engines()[0]?.freeze(15_000)), send(2_000)],
    },
    { engines: 2, workers: 2 },
  ),
];
