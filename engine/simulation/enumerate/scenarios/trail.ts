// Scenarios of what is kept beside a run: its trail, its secrets, and the run itself once it has ended.

import type { Scenario } from '../scenario.ts';
import {
  caught,
  child,
  handlerThrows,
  invoke,
  meanwhile,
  parallel,
  publish,
  retryAt,
  scenario,
  send,
  sleep,
  step,
  undoable,
  wait,
} from './parts.ts';

export const trailScenarios: readonly Scenario[] = [
  scenario(
    'a run is purged',
    { nodes: [step('flaky', { failures: 1 })] },
    { settings: { runRetentionMs: 4_000 }, purged: true },
  ),
  scenario('a recorded run', {
    nodes: [step('flaky', { failures: 1 }), parallel([[sleep('nap')], [wait('for')]]), publish()],
    more: [send(1_500)],
    options: { recording: 'forever' },
  }),
  scenario('a recorded run that fails and is undone', {
    nodes: [handlerThrows(1), undoable('one', 1), undoable('two'), step('hopeless', { end: 'final' })],
    options: { recording: '7y' },
  }),
  scenario('a recorded run that is lost, decided, and restarted', {
    nodes: [step('once', { once: true, bodyMs: 1_500 }), step('hopeless', { end: 'final' })],
    more: [meanwhile(600, ({ cluster }) => cluster.workers()[0]?.kill()), retryAt(20_000, 'once')],
    options: { recording: '30d' },
  }),
  scenario('a recorded run whose entries leave while it sleeps', {
    nodes: [step('one'), sleep('night', 25_000), step('after')],
    options: { recording: '2s' },
  }),
  scenario(
    'a recorded run is purged before its entries',
    { nodes: [step('one')], options: { recording: '30d' } },
    { settings: { runRetentionMs: 4_000 }, purged: true },
  ),
  scenario('a secret that is changed while a run has it', {
    nodes: [
      step('plain', { leak: 'plain' }),
      sleep('nap', 1_500),
      caught(step('fails', { leak: 'json', end: 'final' })),
      step('url', { leak: 'url', failures: 1 }),
    ],
    options: { secret: true, recording: 'forever' },
  }),
  scenario('a run with attributes, and one that it calls', {
    nodes: [step('one'), invoke(child([step('inner')], { attributes: true })), step('after')],
    options: { attributes: true },
  }),
  scenario('a run with attributes is retried, and run again', {
    nodes: [step('one'), step('hopeless', { end: 'final' })],
    more: [retryAt(3_000, 'one'), retryAt(6_000, undefined, async (operator, runId) => operator.rerun(runId))],
    options: { attributes: true },
  }),
  scenario(
    'a run with attributes is purged',
    { nodes: [step('one')], options: { attributes: true } },
    { settings: { runRetentionMs: 4_000 }, purged: true },
  ),
  scenario(
    'two engines: a recorded run',
    {
      nodes: [step('one'), sleep('nap'), wait('for')],
      more: [send(1_000)],
      options: { recording: 'forever' },
    },
    { engines: 2 },
  ),
];
