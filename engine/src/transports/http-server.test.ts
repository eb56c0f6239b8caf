import { connect } from 'node:http2';
import { createConnection } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createEngine, type EmbeddedEngine } from '../main.ts';

const engines: EmbeddedEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

async function open() {
  const engine = await createEngine({ store: 'memory' });
  engines.push(engine);
  return { engine, ...(await engine.listen({ port: 0 })) };
}

describe('one port', () => {
  test('answers HTTP/1.1 and HTTP/2 with prior knowledge', async () => {
    const { url, port } = await open();
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: 'ok' });

    const session = connect(`http://localhost:${port}`);
    const call = (path: string, body?: string) =>
      new Promise<{ status: number; body: string }>((resolve, reject) => {
        const headers = {
          ':path': path,
          ':method': body === undefined ? 'GET' : 'POST',
          'content-type': 'application/json',
        };
        const stream = session.request(headers);
        let status = 0;
        let text = '';
        stream.on('response', (answer) => {
          status = Number(answer[':status']);
        });
        stream.on('data', (chunk) => {
          text += chunk;
        });
        stream.on('end', () => resolve({ status, body: text }));
        stream.on('error', reject);
        stream.end(body);
      });
    // Several streams on one connection, at once.
    const answers = await Promise.all([
      call('/health'),
      call('/ironflow.v1.IronflowService/Trigger', JSON.stringify({ event: 'over.http2', data: {} })),
      call('/ironflow.v1.IronflowService/Trigger', '{"event":'),
      call('/api/v1/nothing'),
    ]);
    session.close();
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 400, 404]);
    expect(JSON.parse(answers[1]?.body ?? '')).toMatchObject({ runIds: [] });
  });

  test('survives connections that say nothing, half a preface, or nonsense', async () => {
    const { url, port } = await open();
    const say = (text: string) =>
      new Promise<void>((resolve) => {
        const socket = createConnection(port, '127.0.0.1', () => {
          if (text === '') socket.end();
          else socket.write(text);
        });
        socket.on('data', () => socket.end());
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        if (text.startsWith('PRI')) setImmediate(() => socket.destroy());
      });
    await Promise.all([
      say(''),
      say('PRI * HT'),
      say('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense'),
      say('nonsense\r\n\r\n'),
    ]);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  test('says whether it is ready for work', async () => {
    const { url } = await open();
    const answer = await fetch(`${url}/ready`);
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ready' }]);
  });

  test('refuses an address beyond this machine without keys, and says what to do', async () => {
    const engine = await createEngine({ store: 'memory' });
    engines.push(engine);
    await expect(engine.listen({ port: 0, host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('IRONFLOW_API_KEY'),
    });
  });

  test('says that the port is in use', async () => {
    const { port } = await open();
    const second = await createEngine({ store: 'memory' });
    engines.push(second);
    await expect(second.listen({ port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  });

  test('closes while a connection of HTTP/2 has nothing under way', async () => {
    const { engine, port } = await open();
    const session = connect(`http://localhost:${port}`);
    const ended = new Promise<void>((resolve) => session.on('close', resolve));
    const stream = session.request({ ':path': '/health' }).end();
    await new Promise((resolve) => stream.resume().on('close', resolve));
    engines.splice(0);
    await engine.close();
    await ended;
  });

  test('closes while polls are held and connections are open', async () => {
    const { engine, url } = await open();
    const register = await fetch(`${url}/api/v1/workers/w/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ function_ids: [] }),
    });
    expect(register.status).toBe(200);
    const poll = fetch(`${url}/api/v1/workers/w/jobs?available=1`).catch(() => undefined);
    await engine.close();
    engines.splice(0);
    await poll;
  });
});
