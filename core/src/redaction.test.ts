import { describe, expect, test } from 'vitest';
import { encodeJson, type JsonText } from './json.ts';
import { createRedactor, type Redactor } from './redaction.ts';

const redactorOf = (...values: string[]) => createRedactor(values) as Redactor; // there is a value
const base64 = (text: string) => Buffer.from(text).toString('base64');

const values = [
  'sk_live_4eC39HqLyjWDarjtT1zdp7dc',
  'p@ss w0rd+with/all&sorts=of%signs?#',
  'with "quotes" and \\back\\\\slashes\\',
  'lines\r\nand\ttabs\n',
  'Üñïcödé 🔑 ключ 鍵',
  "single ' and ` and $ and ^.*+?()[]{}|",
  '12345678901',
  '\\\\\\\\\\\\\\\\\\\\\\\\',
  'needle-\u0001\u001f-control',
];

const ways: readonly (readonly [string, (value: string) => string])[] = [
  ['plain', (value) => value],
  ['in JSON', (value) => JSON.stringify({ value })],
  ['in JSON in JSON', (value) => JSON.stringify(JSON.stringify({ value }))],
  ['in JSON four times', (value) => JSON.stringify(JSON.stringify(JSON.stringify(JSON.stringify(value))))],
  [
    'in JSON with unicode escapes',
    (value) =>
      [...value]
        .map((c) =>
          [...Array(c.length).keys()].map((i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
        )
        .join(''),
  ],
  ['as a part of a URL', (value) => `https://x.test/${encodeURIComponent(value)}/y`],
  ['as a URL', (value) => encodeURI(value)],
  ['as a form', (value) => new URLSearchParams({ q: value, r: '1' }).toString()],
  ['escaped twice for a URL', (value) => encodeURIComponent(encodeURIComponent(value))],
  [
    'with small letters in its escapes',
    (value) => encodeURIComponent(value).replace(/%../g, (one) => one.toLowerCase()),
  ],
  ['in base64', (value) => base64(value)],
  ['in base64 for URLs', (value) => Buffer.from(value).toString('base64url')],
  ['in base64 behind one byte', (value) => base64(`u${value}`)],
  ['in base64 behind two bytes', (value) => base64(`ab${value}cd`)],
  ['in base64 as a header', (value) => `Basic ${base64(`user:${value}`)}`],
  ['in base64 in a URL', (value) => encodeURIComponent(base64(value))],
  ['in JSON in a URL', (value) => encodeURIComponent(JSON.stringify({ value }))],
  ['in JSON in base64', (value) => base64(JSON.stringify({ value }))],
  ['in a URL in base64', (value) => base64(`?q=${encodeURIComponent(value)}`)],
  ['in JSON in hex', (value) => Buffer.from(JSON.stringify({ value })).toString('hex')],
  ['in hex', (value) => Buffer.from(value).toString('hex')],
  ['in capital hex', (value) => Buffer.from(value).toString('hex').toUpperCase()],
];

describe.each(values.map((value) => [JSON.stringify(value), value] as const))('the value %s', (_, value) => {
  test.each(ways)('is found %s', (_, write) => {
    const redactor = redactorOf(value);
    const written = `before ${write(value)} after`;
    const redacted = redactor.text(written);
    expect(redacted).toContain('***');
    expect(redacted.startsWith('before')).toBe(true);
    expect(redacted.endsWith('after')).toBe(true);
    for (const [, other] of ways) expect(redacted).not.toContain(other(value));
    expect(redactor.finds(written)).toBe(true);
    expect(redactor.finds(redacted)).toBe(false);
  });

  test('is replaced in JSON that stays JSON', () => {
    const redactor = redactorOf(value);
    const text = encodeJson({ a: [value, { [`key ${value}`]: 1 }], b: JSON.stringify({ value }), c: 'other' }, 'x');
    const redacted = JSON.parse(redactor.json(text));
    expect(JSON.stringify(redacted)).not.toContain(JSON.stringify(value).slice(1, -1));
    expect(redacted).toMatchObject({ a: ['***', { 'key ***': 1 }], b: '{"value":"***"}', c: 'other' });
  });
});

test('what has no secret in it is left alone, and is the same text', () => {
  const redactor = redactorOf(...values);
  const text = encodeJson({ a: 'sk_live_', b: [1, 2.5, null, true], c: { d: 'needle' } }, 'x');
  expect(redactor.json(text)).toBe(text);
  expect(redactor.text('sk_live_4eC39HqLyjWDarjtT1zdp7d')).toBe('sk_live_4eC39HqLyjWDarjtT1zdp7d');
  const value = { a: [new Date(0), new Map([['k', 1]]), new Error('no')] };
  expect(redactor.value(value)).toBe(value);
});

test('an escape of JSON that the value seems to begin in does not break the text', () => {
  const text = encodeJson({ log: 'line\needle-123, \tabs-12345' }, 'x');
  const redactor = redactorOf('needle-123', 'tabs-12345');
  expect(JSON.parse(redactor.json(text))).toEqual({ log: 'line\needle-123, \tabs-12345' });
});

test('a number that is the value, or has it among its digits, is replaced', () => {
  expect(redactorOf('123456789').json('{"n":[123456789,1234567890,12]}' as JsonText)).toBe('{"n":["***","***",12]}');
});

test('one value that contains another leaves nothing of it', () => {
  expect(redactorOf('secret12', 'secret1234567').text('a secret1234567 b secret12 c')).toBe('a *** b *** c');
});

test('a long value is found whole and in part', () => {
  const key = Array.from({ length: 1_000 }, (_, i) => String.fromCharCode(33 + ((i * 7919) % 90))).join('');
  const redactor = redactorOf(key);
  expect(redactor.text(`<${key}>`)).toBe('<***>');
  expect(redactor.text(`<${JSON.stringify(key)}>`)).toBe('<"***">');
  expect(redactor.finds(key.slice(0, 500))).toBe(true);
  expect(redactor.text(base64(`x${key}`)).length).toBeLessThan(20);
});

test('values of JavaScript are looked through, however they are put together', () => {
  const secret = 'sk_live_0123';
  const circular: Record<string, unknown> = { token: secret };
  circular['self'] = circular;
  const error = Object.assign(new TypeError(`no ${secret}`, { cause: new Error(secret) }), {
    headers: { auth: secret },
  });
  const hostile = Object.defineProperty({}, 'x', {
    enumerable: true,
    get: () => {
      throw new Error(secret);
    },
  });
  for (const value of [
    circular,
    error,
    hostile,
    [[[secret]]],
    new Map([[secret, secret]]),
    new Set([secret]),
    Buffer.from(secret),
    { [secret]: 1 },
  ]) {
    const redacted = redactorOf(secret).value(value);
    const seen =
      redacted instanceof Error ? [redacted.message, redacted.stack, String(redacted.cause), redacted] : redacted;
    expect(JSON.stringify(seen)).toContain('***');
    expect(JSON.stringify(seen)).not.toContain(secret);
  }
  expect(redactorOf(secret).value(error)).toMatchObject({ name: 'TypeError', message: 'no ***' });
});

test('takes little time, whatever the text repeats', () => {
  const redactor = redactorOf('\\\\a\\\\b\\\\c\\\\"', '%%%%%%%%%%%%', 'aaaaaaaaaaaaaaaaaaaaab');
  const start = performance.now();
  for (const unit of ['\\', '%25', 'a', '\\\\a\\\\b\\\\c', '\\u005c', 'QUFB'])
    redactor.finds(unit.repeat(100_000 / unit.length));
  expect(performance.now() - start).toBeLessThan(3_000);
});

test('there is no redactor of nothing', () => {
  expect(createRedactor([])).toBeUndefined();
  expect(createRedactor([''])).toBeUndefined();
});
