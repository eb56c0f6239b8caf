// Scenarios of runs that are undone.

import type { Scenario } from '../scenario.ts';
import { handlerThrows, meanwhile, parallel, retryAt, scenario, sleep, step, undoable, undone, wait } from './parts.ts';

export const sagaScenarios: readonly Scenario[] = [
  scenario('a saga that undoes two steps', {
    nodes: [undoable('one'), undoable('two'), step('hopeless', { end: 'final' })],
  }),
  scenario('a saga whose step uses up its attempts', {
    nodes: [undoable('one'), step('hopeless', { end: 'exhausted' })],
  }),
  scenario('a saga whose handler fails for good', { nodes: [undoable('one'), handlerThrows(3)] }),
  scenario('a saga with a compensation that fails once', {
    nodes: [undoable('one'), undoable('two', 1), step('hopeless', { end: 'final' })],
  }),
  scenario('a saga with a compensation that fails for good', {
    nodes: [undoable('one'), undoable('two', 9), undoable('three'), step('hopeless', { end: 'final' })],
  }),
  scenario('a saga in branches, one of which still works', {
    nodes: [parallel([[step('hopeless', { end: 'final' })], [undoable('slow', 0, { bodyMs: 900 })]])],
  }),
  scenario('a saga whose worker is killed while it undoes', {
    nodes: [undoable('one'), undoable('two', 0, { bodyMs: 1_500 }), step('hopeless', { end: 'final' })],
    more: [meanwhile(2_400, ({ cluster }) => cluster.workers()[0]?.kill())],
  }),
  undone('cancel a saga while it waits', 1_000, [undoable('one'), undoable('two'), wait('for')]),
  undone('cancel a saga while a body runs', 1_000, [undoable('one'), undoable('slow', 0, { bodyMs: 3_000 })]),
  undone('cancel a saga that undoes already', 1_000, [
    undoable('one', 1),
    undoable('slow', 0, { bodyMs: 700 }),
    step('hopeless', { end: 'final' }),
  ]),
  undone('two engines: cancel a saga', 800, [undoable('one'), sleep('nap', 5_000)], { engines: 2, workers: 2 }),
  scenario('retry of a saga that was undone', {
    nodes: [undoable('one'), undoable('two'), step('hopeless', { end: 'final' })],
    more: [retryAt(3_000)],
  }),
];
