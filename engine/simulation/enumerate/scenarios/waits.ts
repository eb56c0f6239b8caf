// Scenarios of waits for events.

import type { Scenario } from '../scenario.ts';
import { cancelled, caught, parallel, scenario, send, sleep, step, wait, waitAny } from './parts.ts';

export const waitScenarios: readonly Scenario[] = [
  scenario('wait before its event', { nodes: [wait('for')], more: [send(2_000)] }),
  scenario('wait after its event', { nodes: [sleep('first', 1_500), wait('for')], more: [send(500)] }),
  scenario('wait as its event comes', { nodes: [wait('for')], more: [send(0)] }),
  scenario('wait with a match', {
    nodes: [wait('for', { matched: true })],
    more: [send(1_000, 'answer', 'other'), send(1_500)],
  }),
  scenario('wait that times out', { nodes: [caught(wait('for', { sent: 'never' })), step('after')] }),
  scenario('wait whose event comes as it times out', {
    nodes: [wait('for', { sent: 'perhaps' })],
    more: [send(9_000)],
  }),
  scenario('two waits at once', {
    nodes: [parallel([[wait('a')], [wait('b', { event: 'other' })]])],
    more: [send(1_000, 'other'), send(2_000)],
  }),
  scenario('two waits for one event', { nodes: [parallel([[wait('a')], [wait('b')]])], more: [send(1_000)] }),
  scenario('two runs wait for one event', {
    nodes: [wait('for')],
    more: [
      ({ at, begin, client, cluster }) =>
        at(0, async () => {
          const [first] = cluster.options.programs;
          if (first === undefined) return;
          await begin(first, 'another');
          await begin(first);
          await client.emit('answer', { key: 'key' }, 'answer to both');
        }),
    ],
  }),
  scenario('wait with an expression', {
    nodes: [wait('for', { matched: true, form: 'in' })],
    more: [send(1_000, 'answer', 'other'), send(1_500)],
  }),
  scenario('wait for any: one comes', { nodes: [waitAny([1]), step('after')], more: [send(1_000, 'cancelled')] }),
  scenario('wait for any: both come at once', {
    nodes: [waitAny([0, 1], 'equal')],
    more: [send(1_000, 'paid'), send(1_000, 'cancelled')],
  }),
  scenario('wait for any: one was there before', {
    nodes: [sleep('nap', 1_500), waitAny([0, 1], 'in')],
    more: [send(500, 'cancelled'), send(900, 'paid')],
  }),
  scenario('wait for any that times out', { nodes: [caught(waitAny([])), step('after')] }),
  cancelled('cancel while waiting for any', 1_000, [waitAny([0])]),
  scenario(
    'two engines: wait for any',
    { nodes: [waitAny([0, 1])], more: [send(900, 'paid'), send(901, 'cancelled')] },
    { engines: 2 },
  ),
];
