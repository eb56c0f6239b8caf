import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeJson } from '../json.ts';
import { limits } from '../limits.ts';
import { EngineMessageSchema, WorkerMessageSchema } from '../proto/index.ts';
import type { Report, ReportAnswer, StepRecord, WorkerHello } from '../wire/job.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { EnvelopeReader, enveloped } from './envelope.ts';
import {
  EngineFrameWriter,
  readEngineFrame,
  readRegistered,
  readWorkerFrame,
  registerMessage,
  WorkerFrameWriter,
} from './index.ts';

const count = fc.nat({ max: 2 ** 31 - 1 });
const instant = fc.nat({ max: 2_000_000_000_000 });
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 });
const payload = fc.jsonValue({ maxDepth: 3 }).map((value) => ({ text: encodeJson(value, 'value') }));

const completed: fc.Arbitrary<StepRecord> = fc.record({
  stepId: text,
  name: text,
  kind: fc.constant('run' as const),
  status: fc.constant('completed' as const),
  output: payload,
  attempt: count.map((n) => n + 1),
  wake: count,
  sequence: count,
  startedAt: instant,
  endedAt: instant,
});
const once = completed.map((record): StepRecord => ({ ...record, hasStart: true }));
const failed: fc.Arbitrary<StepRecord> = fc.record({
  stepId: text,
  name: text,
  kind: fc.constantFrom('run' as const, 'compensate' as const),
  status: fc.constant('failed' as const),
  error: fc.record({ message: text, code: fc.constant('STEP_FAILED'), retryable: fc.boolean() }),
  attempt: count.map((n) => n + 1),
  wake: count,
  sequence: count,
  startedAt: instant,
  endedAt: instant,
});
const sleep = fc.record({
  stepId: text,
  name: text,
  kind: fc.constant('sleep' as const),
  until: instant,
  wake: count,
  sequence: count,
});
const end: fc.Arbitrary<Report['end']> = fc.oneof(
  fc.constant(undefined),
  payload.map((output) => ({ status: 'completed' as const, output })),
  fc.constant({ status: 'failed' as const, error: { message: 'no', code: 'ERROR', retryable: true } }),
  fc.constant({ status: 'suspended' as const }),
);
const start = fc.record({ stepId: text, name: text, attempt: count.map((n) => n + 1), startedAt: instant });
const failing = fc.constant({ message: 'declined', code: 'ERROR', retryable: false });
const report: fc.Arbitrary<Report> = fc
  .record({
    jobId: text,
    fence: count,
    leaseToken: text,
    seenWakes: count,
    records: fc.array(fc.oneof({ weight: 4, arbitrary: completed }, once, failed), { maxLength: 5 }),
    waits: fc.array(sleep, { maxLength: 3 }),
    starts: fc.array(start, { maxLength: 2 }),
    end,
    kept: fc.boolean(),
    paused: fc.boolean(),
    failing: fc.option(failing, { nil: undefined }),
  })
  .map(({ starts, end, kept, paused, failing, ...rest }) => ({
    ...rest,
    ...(starts.length > 0 && { starts }),
    ...(end && { end }),
    ...(kept && { kept }),
    ...(paused && { paused }),
    ...(failing && { failing }),
  }));

/** The message within what a frame writer gave. */
function messageOf(envelope: Uint8Array): Uint8Array {
  const [only, ...more] = new EnvelopeReader().push(envelope);
  expect(more).toEqual([]);
  if (only === undefined) throw new Error('there is a whole message');
  return only.message;
}

describe('a frame of a worker', () => {
  test('comes back as it was, and as protobuf reads it', () => {
    fc.assert(
      fc.property(
        fc.array(report, { minLength: 1, maxLength: 4 }),
        fc.array(text),
        count,
        (reports, jobIds, received) => {
          const writer = new WorkerFrameWriter();
          for (const [i, one] of reports.entries()) writer.report(i + 1, one);
          writer.presence({ number: 7, jobIds, received });
          writer.draining();
          for (const jobId of jobIds) writer.returned(jobId);
          const message = messageOf(writer.take());
          expect(writer.isEmpty).toBe(true);

          const frame = readWorkerFrame(message);
          expect(frame?.reports.map(({ error }) => error)).toEqual(reports.map(() => undefined));
          expect(frame?.reports.map(({ report }) => report)).toEqual(reports);
          expect(frame).toMatchObject({
            presence: { number: 7, jobIds, received },
            draining: true,
            leaving: false,
            returnedJobs: jobIds,
          });

          const { payload } = fromBinary(WorkerMessageSchema, message);
          if (payload.case !== 'frame') throw new Error('it is a frame');
          expect(payload.value.reports.map(({ jobId, seenWakes }) => ({ jobId, seenWakes }))).toEqual(
            reports.map(({ jobId, seenWakes }) => ({ jobId, seenWakes })),
          );
          expect(payload.value.reports.map(({ steps }) => steps.length)).toEqual(
            reports.map(({ records }) => records.length),
          );
          expect(payload.value.presence).toMatchObject({ jobIds, received, number: 7 });
        },
      ),
    );
  });

  test('that protobuf wrote is read the same', () => {
    const bytes = toBinary(
      WorkerMessageSchema,
      create(WorkerMessageSchema, {
        payload: {
          case: 'frame',
          value: {
            reports: [
              {
                number: 3,
                jobId: 'run_1.1',
                executionSeq: 1,
                steps: [
                  { stepId: 'run_1:a:0', output: new TextEncoder().encode('{"a":"ö"}'), attempt: 1, startedAt: 5 },
                ],
                end: 1,
                output: new TextEncoder().encode('[1]'),
              },
            ],
            returnedJobs: ['run_2.1'],
          },
        },
      }),
    );
    const frame = readWorkerFrame(bytes);
    expect(frame?.returnedJobs).toEqual(['run_2.1']);
    expect(frame?.reports).toMatchObject([
      {
        number: 3,
        report: {
          jobId: 'run_1.1',
          records: [{ stepId: 'run_1:a:0', name: 'a', kind: 'run', output: { text: '{"a":"ö"}' }, startedAt: 5 }],
          end: { status: 'completed', output: { text: '[1]' } },
        },
      },
    ]);
  });

  const step = { stepId: 'run_1:a:0', name: 'a', kind: 'run', status: 'completed', attempt: 1 } as const;
  const place = { wake: 0, sequence: 1, startedAt: 0, endedAt: 0 };
  const wrong: [string, Partial<StepRecord>, object][] = [
    ['no id', { stepId: '' }, { code: 'VALIDATION_ERROR' }],
    ['an id that is too long', { stepId: 'x'.repeat(limits.stepIdBytesMax + 1) }, { code: 'VALIDATION_ERROR' }],
    ['a name that is too long', { name: 'x'.repeat(limits.nameLengthMax + 1) }, { code: 'VALIDATION_ERROR' }],
    ['an output that is no JSON', { output: { text: '{' as never } }, { code: 'VALIDATION_ERROR' }],
    [
      'an output that is too large',
      { output: { text: JSON.stringify('x'.repeat(limits.payloadBytesMax)) as never } },
      { code: 'PAYLOAD_TOO_LARGE' },
    ],
  ];
  test.each(wrong)('with a step that has %s spoils that report alone', (_what, change, error) => {
    const writer = new WorkerFrameWriter();
    const base = { jobId: 'run_1.1', fence: 1, leaseToken: '', seenWakes: 0, waits: [] };
    writer.report(1, { ...base, records: [{ ...step, ...place, ...change }] });
    writer.report(2, { ...base, records: [{ ...step, ...place, output: { text: '1' as never } }] });
    expect(readWorkerFrame(messageOf(writer.take()))?.reports).toMatchObject([
      { number: 1, report: undefined, error },
      { number: 2, error: undefined, report: { records: [{ stepId: 'run_1:a:0' }] } },
    ]);
  });
});

describe('a frame of an engine', () => {
  const answers: ReportAnswer[] = [
    { status: 'accepted', ended: false, retries: [], resolutions: [] },
    { status: 'accepted', ended: true, retries: [], resolutions: [] },
    {
      status: 'accepted',
      ended: false,
      retries: [{ stepId: 'run_1:a:0', attempt: 2, dueAt: 5 }],
      resolutions: [{ kind: 'retry', wake: 1, stepId: 'run_1:a:0', attempt: 2 }],
    },
    { status: 'refused', code: 'STALE_EXECUTION', message: 'no' },
    { status: 'accepted', ended: false, retries: [], resolutions: [], pausing: true },
  ];

  test('comes back as it was, and as protobuf reads it', () => {
    const writer = new EngineFrameWriter();
    for (const [i, answer] of answers.entries()) writer.answer(i + 1, answer);
    writer.refusal(9, '{"status":"error","code":"VALIDATION_ERROR"}');
    writer.job('{"job_id":"run_1.1"}');
    writer.news('run_2.1', '{"kind":"retry"}');
    writer.revoked('run_3.1', 'RUN_CANCELLED', 'the user said so');
    writer.heard(4);
    const message = messageOf(writer.take());
    const frame = readEngineFrame(message);
    expect(frame?.answers.map(({ answer }) => answer)).toEqual([...answers, undefined]);
    expect(frame?.answers.at(-1)).toMatchObject({ number: 9, refusal: { code: 'VALIDATION_ERROR' } });
    expect(frame).toMatchObject({
      jobs: ['{"job_id":"run_1.1"}'],
      news: [{ jobId: 'run_2.1', resolution: '{"kind":"retry"}' }],
      revoked: [{ jobId: 'run_3.1', code: 'RUN_CANCELLED', message: 'the user said so' }],
      heard: 4,
    });
    const { payload } = fromBinary(EngineMessageSchema, message);
    if (payload.case !== 'frame') throw new Error('it is a frame');
    expect(payload.value.answers.map(({ number, ended }) => [number, ended])).toEqual([
      [1, false],
      [2, true],
      [3, false],
      [4, false],
      [5, false],
      [9, false],
    ]);
    expect(payload.value.presence).toBe(4);
  });
});

test('a registration is the contract’s message, with what was added', () => {
  const hello: WorkerHello = {
    workerId: 'worker-1',
    hostname: 'höst',
    functionIds: ['f', 'g'],
    functionVersions: { f: 3 },
    jobsMax: 20,
    labels: { region: 'eu', '': 'x' },
    version: { sdk: 'node/1', runtime: 'node/24' },
    capabilities: ['frames'],
    executionsKept: 7,
  };
  const { payload } = fromBinary(WorkerMessageSchema, registerMessage(hello));
  const { jobsMax, ...rest } = hello;
  expect(payload).toMatchObject({ case: 'register', value: { ...rest, maxConcurrentJobs: jobsMax } });
  const registered = toBinary(
    EngineMessageSchema,
    create(EngineMessageSchema, {
      payload: {
        case: 'registered',
        value: { workerId: 'worker-1', heartbeatIntervalMs: 10_000, leaseMs: 30_000, capabilities: ['frames'] },
      },
    }),
  );
  expect(readRegistered(registered)).toEqual({ heartbeatMs: 10_000, leaseMs: 30_000, capabilities: ['frames'] });
});

describe('bytes', () => {
  test('that are no message are refused as such, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        for (const read of [readWorkerFrame, readEngineFrame, readRegistered]) {
          try {
            read(noise);
          } catch (error) {
            if (!(error instanceof SyntaxError)) expect(error).toMatchObject({ code: 'VALIDATION_ERROR' });
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('of a message that grew beyond its buffer are all there, and what was taken stays', () => {
    const writer = new ByteWriter();
    writer.text(1, 'first');
    const first = writer.take();
    const begun = writer.begin(2);
    const long = 'ö'.repeat(100_000);
    for (let i = 0; i < 5; i++) writer.item(3, long);
    writer.end(begun);
    const second = writer.take();
    const read = (bytes: Uint8Array, visit: (reader: ByteReader) => void) => {
      const reader = new ByteReader(bytes);
      while (reader.next()) visit(reader);
    };
    read(first, (reader) => expect([reader.field, reader.text()]).toEqual([1, 'first']));
    let items = 0;
    read(second, (reader) => {
      const inner = reader.message();
      while (inner.next()) {
        expect(inner.text()).toBe(long);
        items++;
      }
    });
    expect(items).toBe(5);
  });
});

describe('envelopes', () => {
  test('are found in pieces of any size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.nat({ max: 30 }),
        (messages, cut) => {
          const bytes = Buffer.concat(messages.map((message) => enveloped(message)));
          const reader = new EnvelopeReader();
          const found: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += cut + 1) {
            for (const { message, isEnd } of reader.push(bytes.subarray(at, at + cut + 1))) {
              expect(isEnd).toBe(false);
              found.push(Uint8Array.from(message));
            }
          }
          expect(found).toEqual(messages);
        },
      ),
    );
  });

  test('that are too large or compressed are refused before they are there', () => {
    expect(() => new EnvelopeReader(10).push(enveloped(new Uint8Array(11)).subarray(0, 5))).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }),
    );
    expect(() => new EnvelopeReader().push(enveloped(new Uint8Array(1), 1))).toThrow(/compressed/);
  });
});
