// Scenarios of the primitives alone: steps, sleeps, calls, branches, publishing, and their failures.

import type { Scenario } from '../scenario.ts';
import {
  caught,
  child,
  handlerThrows,
  invoke,
  invokeAsync,
  meanwhile,
  parallel,
  program,
  publish,
  scenario,
  send,
  sleep,
  step,
  wait,
} from './parts.ts';

export const stepScenarios: readonly Scenario[] = [
  scenario('no step', { nodes: [] }),
  scenario('one step', { nodes: [step('one')] }),
  scenario('three steps', { nodes: [step('one'), step('two'), step('three')] }),
  scenario('a slow step', { nodes: [step('slow', { bodyMs: 2_500 })] }),
  scenario('one name twice', { nodes: [step('same'), step('same', { value: 8 })] }),
  scenario('sleep', { nodes: [sleep('nap'), step('after')] }),
  scenario('sleep until', { nodes: [step('one'), sleep('until', 800, true), step('after')] }),
  scenario('sleep until an instant that is past', {
    nodes: [step('slow', { bodyMs: 900 }), sleep('until', 100, true)],
  }),
  scenario('two sleeps at once', { nodes: [parallel([[sleep('short', 300)], [sleep('long', 700)]])] }),
  scenario('invoke', { nodes: [invoke(child([step('inner')])), step('after')] }),
  scenario('invoke of one that sleeps', { nodes: [invoke(child([sleep('inner')]))] }),
  scenario('invoke of one that fails', {
    nodes: [caught(invoke(child([step('inner', { end: 'final' })]))), step('after')],
  }),
  scenario('invoke that fails the run', { nodes: [invoke(child([step('inner', { end: 'final' })]))] }),
  scenario('invoke of one that invokes', {
    nodes: [invoke(child([invoke(program([step('deep')], { id: 'grandchild' }))]))],
  }),
  scenario('two invokes at once', {
    nodes: [parallel([[invoke(child([step('inner')]))], [invoke(child([step('inner')], { id: 'sister' }))]])],
  }),
  scenario('invoke without waiting', { nodes: [invokeAsync(child([step('inner')])), step('after')] }),
  scenario('parallel steps', { nodes: [parallel([[step('a')], [step('b')], [step('c')]])] }),
  scenario('parallel, one at a time', {
    nodes: [parallel([[step('a')], [step('b')], [step('c')]], { concurrency: 1 })],
  }),
  scenario('parallel that fails fast', {
    nodes: [caught(parallel([[step('a', { end: 'final' })], [sleep('b', 300)]]))],
  }),
  scenario('parallel that settles', {
    nodes: [parallel([[step('a', { end: 'final' })], [step('b')]], { settle: true })],
  }),
  scenario('map', { nodes: [parallel([[step('a')], [sleep('b'), step('c')]], { map: true })] }),
  scenario('a step in one branch, a wait in the other', {
    nodes: [parallel([[step('a', { bodyMs: 1_200 })], [wait('for')]])],
    more: [send(700)],
  }),
  scenario('a step that fails once', { nodes: [step('flaky', { failures: 1 }), step('after')] }),
  scenario('a step that fails twice', { nodes: [step('flaky', { failures: 2 })] }),
  scenario('a step that uses up its attempts', {
    nodes: [caught(step('hopeless', { end: 'exhausted' })), step('after')],
  }),
  scenario('a step that fails for good', { nodes: [step('hopeless', { end: 'final' })] }),
  scenario('two retries at once', { nodes: [parallel([[step('a', { failures: 1 })], [step('b', { failures: 1 })]])] }),
  scenario('a handler that fails once', { nodes: [step('one'), handlerThrows(1), step('two')] }),
  scenario('a handler that fails for good', { nodes: [step('one'), handlerThrows(3)] }),
  scenario('a run that retries while a branch waits', {
    nodes: [step('one'), handlerThrows(1), wait('for')],
    more: [send(300)],
  }),
  scenario('a step that must not run twice', { nodes: [step('once', { once: true }), step('after')] }),
  scenario('a step that must not run twice and fails once', { nodes: [step('once', { once: true, failures: 1 })] }),
  scenario('a step that must not run twice, its worker killed in it', {
    nodes: [parallel([[step('once', { once: true, bodyMs: 1_500 })], [step('other'), sleep('nap')]])],
    more: [meanwhile(900, ({ cluster }) => cluster.workers()[0]?.kill())],
  }),
  scenario('publish', { nodes: [publish(), step('after')] }),
  scenario('publish of several messages at once', {
    nodes: [parallel([[publish()], [publish()], [publish('other')], [step('work')]])],
  }),
  scenario('two engines: publish', { nodes: [publish(), publish()] }, { engines: 2 }),
];
