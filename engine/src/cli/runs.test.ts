// `ironflow runs` against a real engine on a socket.

import { describe, expect, onTestFinished, test } from 'vitest';
import { createClient, createFunction, createWorker, NonRetryableError } from '../../../src/index.ts';
import { createEngine } from '../main.ts';
import { eventually } from '../test-support/eventually.ts';
import { runs } from './runs.ts';

async function open() {
  const engine = await createEngine({ store: 'memory', apiKeys: ['secret'] });
  const { url } = await engine.listen({ port: 0 });
  let broken = true;
  const functions = [
    createFunction(
      { id: 'sleeper', triggers: [{ event: 'sleep' }], attributes: { bed: 'data.bed', 'to.wake': 'data.wake' } },
      async ({ step }) => {
        await step.run('one', () => ({ n: 1 }));
        await step.sleep('nap', '1h');
      },
    ),
    createFunction({ id: 'failing', recording: true, triggers: [{ event: 'fail' }] }, async ({ step }) =>
      step.run('charge', () => {
        if (broken) throw new NonRetryableError('declined\nsecond line \u001b[31mred');
        return 'charged';
      }),
    ),
  ];
  const worker = createWorker({ functions, engine, logger: false });
  const working = worker.start();
  await worker.ready;
  onTestFinished(async () => {
    await worker.stop();
    await working;
    await engine.close();
  });
  const client = createClient({ engine });
  const env: Record<string, string> = { IRONFLOW_SERVER_URL: url, IRONFLOW_API_KEY: 'secret' };
  /** How far the program's clock is ahead of the engine's. */
  const later = { ms: 0 };
  const cli = async (...args: string[]) => {
    let out = '';
    let err = '';
    const code = await runs(args, {
      env,
      isTerminal: false,
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      input: () => Promise.resolve(''),
      stopped: () => new Promise(() => {}),
      after: () => Promise.resolve(),
      now: () => Date.now() + later.ms,
    });
    return { code, out, err };
  };
  const start = async (event: string, status: string, data: unknown = {}): Promise<string> => {
    const { runIds } = await client.emit(event, data);
    const run = await eventually(
      () => client.getRun(runIds[0] ?? ''),
      (now) => now.status === status,
    );
    return run.id;
  };
  return { cli, env, client, start, url, later, mend: () => (broken = false) };
}

describe('ironflow runs', () => {
  test('lists runs by a filter, for people and as JSON', async () => {
    const { cli, start, later } = await open();
    const sleeping = await start('sleep', 'waiting');
    const failed = await start('fail', 'failed');
    const { code, out } = await cli('list');
    expect(code).toBe(0);
    expect(out).toMatch(
      new RegExp(`RUN +FUNCTION +STATUS.*\n${failed} +failing +failed .*STEP_FAILED: declined\n${sleeping} +sleeper`),
    );
    expect(out).toContain('2 of 2');
    const json = await cli('list', '--function', 'sleeper', '--since', '1h', '--json');
    expect(JSON.parse(json.out)).toMatchObject({ id: sleeping, status: 'waiting' });
    const page = await cli('list', '--limit', '1');
    const cursor = /--cursor (\S+)/.exec(page.out)?.[1] ?? '';
    expect((await cli('list', '--limit', '1', '--cursor', cursor)).out).toContain(sleeping);
    later.ms = 7_200_000;
    expect((await cli('list', '--since', '1h')).out).toContain('0 of 0');
  });

  test('shows a run with its steps, and why it has not ended; what others wrote cannot steer the terminal', async () => {
    const { cli, start } = await open();
    const sleeping = await start('sleep', 'waiting');
    const { out } = await cli('show', sleeping);
    expect(out).toMatch(/Why +It sleeps until .* \(step "nap"\)\./);
    expect(out).toMatch(/one {2}run completed in \d+ ms\n {6}run_\w+:one:0\n {6}\{"n":1\}/);
    const failedId = await start('fail', 'failed');
    const failed = await cli('show', failedId);
    expect(failed.out).toContain('STEP_FAILED: declined');
    const lines = (await cli('audit', failedId)).out.split('\n').map((line) => line.split('  ').slice(1).join('  '));
    expect(lines[0]).toBe(`run.started  ${failedId}  the run`);
    expect(lines).toContainEqual(expect.stringMatching(/^run\.failed {2}run_\w+ {2}the run: .*declined/));
    expect(failed.out).not.toContain('\u001b');
    expect(JSON.parse((await cli('show', sleeping, '--json')).out)).toMatchObject({ id: sleeping, waits: [{}] });
  });

  test('lists, shows and cancels runs by what they are about', async () => {
    const { cli, start, client } = await open();
    const early = await start('sleep', 'waiting', { bed: 'a=b', wake: 6 });
    const late = await start('sleep', 'waiting', { bed: 'a=b', wake: 9 });
    const listed = await cli('list', '--attribute', 'bed=a=b', '--json');
    expect(listed.out.split('\n').filter(Boolean)).toEqual([
      expect.stringContaining(late),
      expect.stringContaining(early),
    ]);
    const both = await cli('list', '--attribute', 'bed=a=b', '--attribute', 'to.wake=6', '--status', 'waiting');
    expect(both.out).toContain(early);
    expect(both.out).toContain('1 of 1');
    expect((await cli('show', early)).out).toMatch(/^Attributes +bed=a=b to\.wake=6$/m);
    expect((await cli('cancel', '--attribute', 'to.wake=9')).out).toBe('cancel: 1 done, 0 refused.\n');
    expect((await client.getRun(late)).status).toBe('cancelled');
    expect((await client.getRun(early)).status).toBe('waiting');
    for (const wrong of [['bed'], ['bed='], ['=7'], ['bed=1', '--attribute', 'bed=2'], ['a bed=1']]) {
      const { code, err } = await cli('cancel', '--attribute', ...wrong);
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('ttribute') });
    }
    expect((await client.getRun(early)).status).toBe('waiting');
  });

  test('pauses, resumes, cancels, retries, patches and reruns, and the audit trail has it', async () => {
    const { cli, start, mend, client } = await open();
    const sleeping = await start('sleep', 'waiting');
    expect((await cli('pause', sleeping, '--reason', 'a look')).out).toContain('paused');
    expect((await cli('patch', `${sleeping}:one:0`, '--output', '{"n":2}')).out).toContain('has its new output');
    expect((await cli('resume', sleeping)).code).toBe(0);
    expect((await cli('cancel', sleeping)).out).toContain('cancelled');
    const { out } = await cli('audit', sleeping);
    const types = out
      .split('\n')
      .slice(0, -2)
      .map((line) => line.split('  ')[1]);
    expect(types).toEqual(['run.paused', 'step.patched', 'run.resumed', 'run.cancelled']);
    expect(out).toContain(': a look');
    const failed = await start('fail', 'failed');
    mend();
    expect((await cli('retry', failed, '--from-step', 'charge')).code).toBe(0);
    expect(await client.waitForRun(failed)).toMatchObject({ status: 'completed' });
    const rerun = JSON.parse((await cli('rerun', failed, '--input', '{"n":5}', '--json')).out) as { id: string };
    expect(await client.waitForRun(rerun.id)).toMatchObject({ status: 'completed', input: { n: 5 }, rerunOf: failed });
  });

  test('does so to all that a filter fits', async () => {
    const { cli, start } = await open();
    for (let i = 0; i < 3; i++) await start('sleep', 'waiting');
    expect((await cli('cancel', '--function', 'sleeper', '--reason', 'enough')).out).toBe(
      'cancel: 3 done, 0 refused.\n',
    );
    const refused = await cli('retry', '--status', 'cancelled', '--json');
    expect([refused.code, JSON.parse(refused.out)]).toMatchObject([8, { done: 0, refused: 3 }]);
  });

  test('tells by its exit code what was wrong', async () => {
    const { cli, start, env } = await open();
    const failed = await start('fail', 'failed');
    const cases: [string[], number, string][] = [
      [['show', 'run_nope'], 7, 'run_nope'],
      [['pause', failed], 8, 'has ended'],
      [['cancel'], 2, '--all'],
      [['cancel', failed, '--all'], 2, 'not both'],
      [['frobnicate'], 2, 'frobnicate'],
      [['list', '--since', 'yesterday'], 2, '--since'],
      [['patch', `${failed}:charge:0`, '--output', '{'], 2, 'not JSON'],
      [['patch', `${failed}:none:0`, '--output', '1'], 7, 'none'],
      [['retry', '--all', '--from-step', 'x'], 2, '--from-step'],
      [['show'], 2, 'name one run'],
      [['list', '--nope'], 2, '--nope'],
    ];
    for (const [args, code, text] of cases) {
      const found = await cli(...args);
      expect([args, found.code, found.err]).toEqual([args, code, expect.stringContaining(text)]);
      expect(found.err).toMatch(/^ironflow: /);
    }
    const some = await cli('cancel', 'run_nope', failed);
    expect([some.code, some.out]).toEqual([7, expect.stringContaining(failed)]);
    env['IRONFLOW_API_KEY'] = 'wrong';
    expect((await cli('list')).code).toBe(2);
    env['IRONFLOW_SERVER_URL'] = 'http://127.0.0.1:1';
    expect((await cli('list')).code).toBe(6);
    expect((await cli('--help')).out).toContain('Usage: ironflow runs');
  });
});
