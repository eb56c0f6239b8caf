import { createHook, sleep } from 'workflow';

async function step(i) {
  'use step';
  return { i, ok: true };
}

async function stamp(i) {
  'use step';
  return { i, ok: true, at: performance.timeOrigin + performance.now() };
}

async function text(bytes) {
  'use step';
  return { i: 0, ok: true, body: 'x'.repeat(bytes) };
}

export async function seq(n) {
  'use workflow';
  const results = [];
  for (let i = 0; i < n; i++) results.push(await step(i));
  return results;
}

export async function fan(n) {
  'use workflow';
  return Promise.all(Array.from({ length: n }, (_, i) => step(i)));
}

export async function nap(ms) {
  'use workflow';
  const before = await stamp(0);
  await sleep(ms);
  return [before, await stamp(1)];
}

export async function wait(_, key) {
  'use workflow';
  await createHook({ token: key });
  return [await stamp(0)];
}

export async function first() {
  'use workflow';
  return [await stamp(0)];
}

export async function large(bytes) {
  'use workflow';
  return [await text(bytes)];
}
