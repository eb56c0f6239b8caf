import { describe, expect, test } from 'vitest';
import { KeptExecutions } from './kept-executions.ts';

const kept = (sessionId: string, fence = 1) => ({ sessionId, fence, seenWakes: 0 });

describe('kept executions', () => {
  test('are taken by the next lease of their worker, once', () => {
    const executions = new KeptExecutions();
    executions.note('run', kept('a'), 10);
    expect(executions.sessionOf('run')).toBe('a');
    expect(executions.take('run', { sessionId: 'a', fence: 2 })).toEqual(kept('a'));
    expect(executions.take('run', { sessionId: 'a', fence: 2 })).toBeUndefined();
  });

  test('are of no use to another worker, nor to a later lease', () => {
    const executions = new KeptExecutions();
    executions.note('one', kept('a'), 10);
    executions.note('two', kept('a'), 10);
    expect(executions.take('one', { sessionId: 'b', fence: 2 })).toBeUndefined();
    expect(executions.take('two', { sessionId: 'a', fence: 3 })).toBeUndefined();
  });

  test('of a worker are as many as it keeps, the latest, whatever others keep', () => {
    const executions = new KeptExecutions();
    executions.note('other', kept('b'), 1);
    for (const runId of ['one', 'two', 'three']) executions.note(runId, kept('a'), 2);
    executions.note('none', kept('c'), 0);
    const known = ['other', 'one', 'two', 'three', 'none'].filter((runId) => executions.sessionOf(runId));
    expect(known).toEqual(['other', 'two', 'three']);
    executions.note('two', kept('a', 5), 2); // suspended again: now it is the latest
    executions.note('four', kept('a'), 2);
    expect(executions.sessionOf('three')).toBeUndefined();
    expect(executions.take('two', { sessionId: 'a', fence: 6 })).toEqual(kept('a', 5));
  });

  test('are bounded in all', () => {
    const executions = new KeptExecutions(2);
    for (const id of ['one', 'two', 'three']) executions.note(id, kept(`worker of ${id}`), 10);
    expect(['one', 'two', 'three'].map((id) => executions.sessionOf(id))).toEqual([
      undefined,
      'worker of two',
      'worker of three',
    ]);
  });
});
