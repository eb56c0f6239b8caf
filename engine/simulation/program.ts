// Random programs: functions drawn from a grammar, with the right answer known from a plain interpreter of the same grammar.

import { parseRecordingRetention } from '@ironflow/core';
import type { Random } from './random.ts';
import { type Leak, leaked, leaks } from './secret.ts';

/** How a step's body behaves: it fails in its first `failures` attempts, then returns `value`. */
export interface StepNode {
  readonly kind: 'step';
  readonly name: string;
  readonly failures: number;
  /** `exhausted`: fails in every attempt. `final`: throws NonRetryableError. */
  readonly end: 'value' | 'exhausted' | 'final';
  readonly value: number;
  /** How long the body takes. */
  readonly bodyMs: number;
  /** What undoes it, registered once it is done: fails in that many of its first attempts. */
  readonly undo?: { readonly failures: number };
  /** It must not run twice: an operator decides what became of a body that was lost. */
  readonly once?: boolean;
  /** It hands out the secret, in its result and in its errors. Its program is given one. */
  readonly leak?: Leak;
}

export interface SleepNode {
  readonly kind: 'sleep';
  readonly name: string;
  readonly ms: number;
  /** Whether it sleeps until an instant, counted from the event that started the run; that instant may be past. */
  readonly until: boolean;
}

export interface WaitNode {
  readonly kind: 'wait';
  readonly name: string;
  readonly event: string;
  /**
   * Whether the event is sent. `never`: the wait times out. `perhaps`: it comes about when the wait times out, and both ends are
   * right; the checker knows which one is at each time.
   */
  readonly sent: 'always' | 'never' | 'perhaps';
  readonly matched: boolean;
  /** How a match is written; in CEL, one that an index can look up or one that it cannot. Default: a path. */
  readonly form?: MatchForm;
}

export type MatchForm = 'path' | 'equal' | 'in';

/** Waits for any of several events, of which those at `sent` are sent. */
export interface WaitAnyNode {
  readonly kind: 'waitAny';
  readonly name: string;
  readonly events: readonly string[];
  readonly sent: readonly number[];
  readonly form: MatchForm;
}

export interface InvokeNode {
  readonly kind: 'invoke' | 'invokeAsync';
  readonly child: Program;
}

/** Publishes a message to a topic of the program's own. */
export interface PublishNode {
  readonly kind: 'publish';
  readonly topic: string;
}

export interface ParallelNode {
  readonly kind: 'parallel';
  readonly name: string;
  readonly branches: readonly (readonly Node[])[];
  readonly concurrency: number | undefined;
  readonly settle: boolean;
  /** Written with `step.map` over the branches' numbers. */
  readonly map: boolean;
}

/** Not in a step: the handler itself throws in the run's first `failures` attempts. */
export interface ThrowNode {
  readonly kind: 'throw';
  readonly name: string;
  readonly failures: number;
}

/** Runs a node and turns what it throws into its message. */
export interface CatchNode {
  readonly kind: 'catch';
  readonly body: Node;
}

export type Node =
  | StepNode
  | PublishNode
  | WaitAnyNode
  | SleepNode
  | WaitNode
  | InvokeNode
  | ParallelNode
  | CatchNode
  | ThrowNode;

export interface Program {
  readonly id: string;
  readonly maxAttempts: number;
  readonly nodes: readonly Node[];
  /** How long an execution may take, in milliseconds. Default: longer than anything here. */
  readonly timeoutMs?: number;
  /** It is recorded, and its entries are kept for this long. */
  readonly recording?: string;
  /** It is given the secret. */
  readonly secret?: boolean;
  /** It declares attributes. */
  readonly attributes?: boolean;
}

export interface GrammarOptions {
  readonly depth: number;
  /** Nodes in one sequence, at most. */
  readonly length: number;
}

/** Draws a program. Failures that nobody catches are rare enough that most programs complete. */
export function drawProgram(random: Random, id: string, options: GrammarOptions = { depth: 3, length: 5 }): Program {
  const maxAttempts = random.int(1, 3);
  const names = new Names();
  const nodes = drawNodes(random, id, maxAttempts, options, names);
  if (random.chance(0.15)) {
    const failures = random.chance(0.85) ? Math.min(1, maxAttempts - 1) : maxAttempts;
    nodes.splice(random.int(0, nodes.length), 0, { kind: 'throw', name: `${id}-handler`, failures });
  }
  const recording = random.chance(0.3) ? random.pick(['forever', '20s', '2m', '30d']) : undefined;
  const secret = random.chance(0.2);
  const attributes = random.chance(0.4);
  return {
    ...{ id, maxAttempts },
    nodes: secret ? nodes.map((node) => withLeaks(node, random)) : nodes,
    ...(recording !== undefined && { recording }),
    ...(secret && { secret }),
    ...(attributes && { attributes }),
  };
}

/** Has some of the program's own steps hand out its secret. */
function withLeaks(node: Node, random: Random): Node {
  if (node.kind === 'step') return random.chance(0.6) ? { ...node, leak: random.pick(leaks) } : node;
  if (node.kind === 'catch') return { ...node, body: withLeaks(node.body, random) };
  if (node.kind === 'parallel')
    return { ...node, branches: node.branches.map((nodes) => nodes.map((one) => withLeaks(one, random))) };
  return node;
}

/** For how long the entries of the functions that are recorded are kept, in milliseconds. */
export function retentionsOf(programs: readonly Program[]): Map<string, number> {
  return new Map(
    programs
      .flatMap(withChildren)
      .flatMap(({ id, recording }) => (recording === undefined ? [] : [[id, parseRecordingRetention(recording)]])),
  );
}

/** What programs with attributes declare: what every event has, what only a call has, and what none has (attribute-checks.ts). */
export const attributePaths: Readonly<Record<string, string>> = {
  key: 'data.key',
  event: 'name',
  source: 'source',
  nothing: 'data.nothing',
};

export function declaringAttributes(programs: readonly Program[]): Set<string> {
  return new Set(programs.flatMap(withChildren).flatMap(({ id, attributes }) => (attributes === true ? [id] : [])));
}

/** What a step returns, and what is stored of that; in JSON or text it is the same but for the secret. */
export function resultOf({ value, leak }: StepNode, secret?: string): unknown {
  return leak === undefined ? value : `${value}${leaked(leak, secret)}`;
}

export function failureOf({ name, leak }: StepNode, secret?: string): string {
  return `${name} failed${leak === undefined ? '' : leaked(leak, secret)}`;
}

class Names {
  #made = 0;
  /** Names repeat now and then, as loops make them. */
  next(random: Random, kind: string): string {
    return random.chance(0.2) ? `${kind}-again` : `${kind}-${this.#made++}`;
  }
}

function drawNodes(random: Random, id: string, maxAttempts: number, options: GrammarOptions, names: Names): Node[] {
  return Array.from({ length: random.int(1, options.length) }, (_, i) =>
    drawNode(random, `${id}.${i}`, maxAttempts, options, names),
  );
}

function drawNode(random: Random, id: string, maxAttempts: number, options: GrammarOptions, names: Names): Node {
  const inner = { depth: options.depth - 1, length: Math.max(1, options.length - 2) };
  const drawn = random.unit();
  if (drawn < 0.45) return drawStep(random, maxAttempts, names);
  if (drawn < 0.5) return { kind: 'publish', topic: random.pick(['orders', 'orders', `topic.${id}`]) };
  if (drawn < 0.6) {
    return { kind: 'sleep', name: names.next(random, 'sleep'), ms: random.int(1, 20_000), until: random.chance(0.3) };
  }
  if (drawn < 0.63) {
    const events = Array.from({ length: random.int(2, 3) }, (_, i) => `any.${id}.${i}`);
    const sent = random.pick([[0], [1], [1], [0, 1], []]);
    const name = names.next(random, 'any');
    const node: WaitAnyNode = { kind: 'waitAny', name, events, sent, form: random.pick(['path', 'equal', 'in']) };
    return sent.length === 0 ? { kind: 'catch', body: node } : node;
  }
  if (drawn < 0.72) {
    const wait: WaitNode = {
      kind: 'wait',
      name: names.next(random, 'wait'),
      event: `event.${id}`,
      sent: random.pick(['always', 'always', 'always', 'never', 'perhaps']),
      matched: random.chance(0.6),
      form: random.pick(['path', 'path', 'equal', 'in']),
    };
    return wait.sent === 'never' ? { kind: 'catch', body: wait } : wait;
  }
  if (options.depth > 0 && drawn < 0.8) {
    const child = drawProgram(random, `${id}-child`, inner);
    const node: InvokeNode = { kind: random.chance(0.75) ? 'invoke' : 'invokeAsync', child };
    return random.chance(0.7) ? { kind: 'catch', body: node } : node;
  }
  if (options.depth > 0 && drawn < 0.95) {
    const settle = random.chance(0.5);
    const branches = Array.from({ length: random.int(1, 4) }, (_, i) => {
      const nodes = drawNodes(random, `${id}.${i}`, maxAttempts, inner, names);
      // With fail-fast, which of several failures comes first is a matter of time; so there no branch fails but the first.
      return settle || i === 0
        ? nodes
        : nodes.map((node): Node => (node.kind === 'catch' ? node : { kind: 'catch', body: node }));
    });
    return {
      kind: 'parallel',
      name: names.next(random, 'parallel'),
      branches,
      concurrency: random.chance(0.3) ? random.int(1, 2) : undefined,
      settle,
      map: random.chance(0.3),
    };
  }
  return { kind: 'catch', body: drawStep(random, maxAttempts, names) };
}

function drawStep(random: Random, maxAttempts: number, names: Names): StepNode {
  const drawn = random.unit();
  const end = drawn < 0.9 ? 'value' : drawn < 0.95 ? 'exhausted' : 'final';
  const name = names.next(random, 'step');
  // A name that comes up again cannot be undone twice.
  const undo = random.chance(0.4) && !name.endsWith('-again') ? { failures: random.pick([0, 0, 0, 1, 9]) } : undefined;
  const once = random.chance(0.15) && end === 'value' && !name.endsWith('-again');
  return {
    kind: 'step',
    name,
    ...(undo && { undo }),
    ...(once && { once }),
    failures: end === 'value' ? Math.min(maxAttempts - 1, random.chance(0.3) ? random.int(1, 2) : 0) : 0,
    end,
    value: random.int(0, 1_000),
    bodyMs: random.chance(0.5) ? 0 : random.int(1, 3_000),
  };
}

// ── the plain interpreter ──

export type Answer =
  | { readonly status: 'completed'; readonly output: unknown }
  | { readonly status: 'failed'; readonly message: string };

class Thrown {
  readonly message: string;
  /** Whether the run is tried again for it. */
  readonly retryable: boolean;
  constructor(message: string, retryable = false) {
    this.message = message;
    this.retryable = retryable;
  }
}

/** What the program comes to, whatever crashes on the way. */
export function answerOf(program: Program, restarted = false): Answer {
  if (restarted) {
    // Attempts of the run go on counting, past all those in which its handler throws.
    const result = evaluateAll(program.nodes, Number.POSITIVE_INFINITY);
    return result instanceof Thrown
      ? { status: 'failed', message: result.message }
      : { status: 'completed', output: result };
  }
  for (let attempt = 1; ; attempt++) {
    const result = evaluateAll(program.nodes, attempt);
    if (!(result instanceof Thrown)) return { status: 'completed', output: result };
    if (!result.retryable || attempt >= program.maxAttempts) return { status: 'failed', message: result.message };
  }
}

function evaluateAll(nodes: readonly Node[], attempt: number): unknown[] | Thrown {
  const results: unknown[] = [];
  for (const node of nodes) {
    const result = evaluate(node, attempt);
    if (result instanceof Thrown) return result;
    results.push(result);
  }
  return results;
}

function evaluate(node: Node, attempt: number): unknown {
  switch (node.kind) {
    case 'step':
      return node.end === 'value' ? resultOf(node) : new Thrown(failureOf(node));
    case 'publish':
      return 'published';
    case 'sleep':
      return 'slept';
    case 'wait':
      if (node.sent === 'perhaps') return 'perhaps';
      return node.sent === 'always' ? node.event : new Thrown(`no ${node.event}`);
    case 'waitAny':
      if (node.sent.length === 0) return new Thrown(`none of ${node.name}`);
      return node.sent.length === 1 ? node.events[node.sent[0] ?? 0] : 'any';
    case 'invoke': {
      const answer = answerOf(node.child);
      return answer.status === 'completed' ? answer.output : new Thrown(`${node.child.id} failed`);
    }
    case 'invokeAsync':
      return 'started';
    case 'parallel': {
      const results = node.branches.map((nodes) => evaluateAll(nodes, attempt));
      if (node.settle)
        return results.map((result) => (result instanceof Thrown ? `settled: ${result.message}` : result));
      return results.find((result) => result instanceof Thrown) ?? results;
    }
    case 'catch': {
      const result = evaluate(node.body, attempt);
      return result instanceof Thrown ? `caught: ${result.message}` : result;
    }
    case 'throw':
      return attempt <= node.failures ? new Thrown(`${node.name} failed`, true) : 'no throw';
  }
}

/** Every program that this one may start, itself first. */
export function withChildren(program: Program): Program[] {
  const found = [program];
  const visit = (node: Node) => {
    if (node.kind === 'invoke' || node.kind === 'invokeAsync') found.push(...withChildren(node.child));
    else if (node.kind === 'catch') visit(node.body);
    else if (node.kind === 'parallel') for (const branch of node.branches) branch.forEach(visit);
  };
  program.nodes.forEach(visit);
  return found;
}

/** Names of the program's own steps that can be undone. */
export function undoableSteps(program: Program): Set<string> {
  const found = new Set<string>();
  const visit = (node: Node) => {
    if (node.kind === 'step' && node.undo !== undefined) found.add(node.name);
    else if (node.kind === 'catch') visit(node.body);
    else if (node.kind === 'parallel') for (const branch of node.branches) branch.forEach(visit);
  };
  program.nodes.forEach(visit);
  return found;
}

/** What the program's own steps come to that must not run twice, by name. */
export function onceSteps(program: Program, secret?: string): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const visit = (node: Node) => {
    if (node.kind === 'step' && node.once === true) found.set(node.name, resultOf(node, secret));
    else if (node.kind === 'catch') visit(node.body);
    else if (node.kind === 'parallel') for (const branch of node.branches) branch.forEach(visit);
  };
  program.nodes.forEach(visit);
  return found;
}

/** The events that somebody must send for the program itself to go on; its children's are theirs. */
export function awaitedEvents(program: Program): WaitNode[] {
  const found: WaitNode[] = [];
  const visit = (node: Node) => {
    if (node.kind === 'wait' && node.sent !== 'never') found.push(node);
    else if (node.kind === 'waitAny')
      for (const i of node.sent)
        found.push({ kind: 'wait', name: node.name, event: node.events[i] ?? '', sent: 'always', matched: true });
    else if (node.kind === 'catch') visit(node.body);
    else if (node.kind === 'parallel') for (const branch of node.branches) branch.forEach(visit);
  };
  program.nodes.forEach(visit);
  return found;
}
