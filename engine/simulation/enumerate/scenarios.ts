// The scenarios of the crash enumeration: one for each primitive, and for what they are combined with.

import type {
  InvokeNode,
  Node,
  ParallelNode,
  Program,
  PublishNode,
  SleepNode,
  StepNode,
  ThrowNode,
  WaitAnyNode,
  WaitNode,
} from '../program.ts';
import type { Scenario, Stage } from './scenario.ts';

const step = (name: string, options: Partial<StepNode> = {}): StepNode => ({
  kind: 'step',
  name,
  failures: 0,
  end: 'value',
  value: 7,
  bodyMs: 0,
  ...options,
});
const sleep = (name: string, ms = 500, until = false): SleepNode => ({ kind: 'sleep', name, ms, until });
const wait = (name: string, options: Partial<WaitNode> = {}): WaitNode => ({
  kind: 'wait',
  name,
  event: 'answer',
  sent: 'always',
  matched: false,
  ...options,
});
const publish = (topic = 'orders'): PublishNode => ({ kind: 'publish', topic });
const waitAny = (sent: readonly number[], form: WaitAnyNode['form'] = 'path'): WaitAnyNode => ({
  kind: 'waitAny',
  name: 'either',
  events: ['paid', 'cancelled'],
  sent,
  form,
});
const invoke = (child: Program): InvokeNode => ({ kind: 'invoke', child });
const invokeAsync = (child: Program): InvokeNode => ({ kind: 'invokeAsync', child });
const caught = (body: Node): Node => ({ kind: 'catch', body });
const handlerThrows = (failures: number): ThrowNode => ({ kind: 'throw', name: 'handler', failures });
const parallel = (branches: readonly (readonly Node[])[], options: Partial<ParallelNode> = {}): ParallelNode => ({
  kind: 'parallel',
  name: 'both',
  branches,
  concurrency: undefined,
  settle: false,
  map: false,
  ...options,
});
const program = (nodes: readonly Node[], options: Partial<Program> = {}): Program => ({
  id: 'main',
  maxAttempts: 3,
  nodes,
  ...options,
});
const child = (nodes: readonly Node[], options: Partial<Program> = {}): Program =>
  program(nodes, { id: 'child', ...options });

/** Starts the first program, and does something else at its times. */
const startAnd =
  (first: Program, ...more: ((stage: Stage) => void)[]) =>
  (stage: Stage): void => {
    stage.at(0, () => stage.begin(first));
    for (const one of more) one(stage);
  };
const send =
  (ms: number, name = 'answer', key = 'key') =>
  ({ at, begin, client, cluster }: Stage): void =>
    at(ms, async () => {
      const [first] = cluster.options.programs;
      if (first !== undefined) await begin(first); // an event that comes before the run is none of its own
      await client.emit(name, { key }, `${name} ${key} ${ms}`);
    });
const cancelAt =
  (ms: number, first: Program, compensate = false) =>
  ({ at, begin, client }: Stage): void =>
    at(ms, async () => {
      const runId = await begin(first);
      if (runId !== undefined) await client.cancel(runId, compensate);
    });
const undoable = (name: string, failures = 0, options: Partial<StepNode> = {}): StepNode =>
  step(name, { undo: { failures }, ...options });
/** Pauses the first run at a time, and resumes it after another. */
const pauseAt =
  (ms: number, forMs: number) =>
  ({ at, begin, cluster, operator }: Stage): void =>
    at(ms, async () => {
      const [first] = cluster.options.programs;
      const runId = first && (await begin(first));
      if (runId !== undefined) await operator.pause(runId, forMs);
    });
/** Retries the first run at a time, when it has failed by then; a crash may have held it up. */
const retryAt =
  (ms: number, fromStep?: string, before?: (operator: Stage['operator'], runId: string) => Promise<void>) =>
  ({ at, begin, cluster, operator }: Stage): void =>
    at(ms, async () => {
      const [first] = cluster.options.programs;
      const runId = first && (await begin(first));
      if (runId === undefined) return;
      await before?.(operator, runId);
      await operator.retry(runId, fromStep);
    });
/** Does something to a process, at a time; the scenario does not wait for it. */
const meanwhile =
  (ms: number, work: (stage: Stage) => void) =>
  (stage: Stage): void =>
    stage.at(ms, async () => work(stage));

interface Course {
  readonly nodes: readonly Node[];
  readonly more?: readonly ((stage: Stage) => void)[];
  readonly options?: Partial<Program>;
}

function scenario(name: string, { nodes, more = [], options = {} }: Course, rest: Partial<Scenario> = {}): Scenario {
  const first = program(nodes, options);
  return { name, programs: [first], course: startAnd(first, ...more), ...rest };
}

function cancelled(name: string, ms: number, nodes: readonly Node[], rest: Partial<Scenario> = {}): Scenario {
  const first = program(nodes);
  return { name, programs: [first], course: startAnd(first, cancelAt(ms, first)), ...rest };
}

function undone(name: string, ms: number, nodes: readonly Node[], rest: Partial<Scenario> = {}): Scenario {
  const first = program(nodes);
  return { name, programs: [first], course: startAnd(first, cancelAt(ms, first, true)), ...rest };
}

const busy = program([step('slow', { bodyMs: 2_000 })]);
const twoSteps = [step('one'), step('two')];

export const scenarios: readonly Scenario[] = [
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
  scenario('retry of a saga that was undone', {
    nodes: [undoable('one'), undoable('two'), step('hopeless', { end: 'final' })],
    more: [retryAt(3_000)],
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
  scenario(
    'two engines: a recorded run',
    {
      nodes: [step('one'), sleep('nap'), wait('for')],
      more: [send(1_000)],
      options: { recording: 'forever' },
    },
    { engines: 2 },
  ),
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
  cancelled('two engines: cancel', 800, [sleep('nap', 5_000)], { engines: 2 }),
];
