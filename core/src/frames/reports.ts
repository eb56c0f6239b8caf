// Reports and their answers within frames. What nearly every step needs is in fields; what is rare (waits, failures, other kinds of
// steps) is JSON, in the form that the REST worker sends.

import { ValidationError } from '../errors.ts';
import { assertJsonDepth } from '../json.ts';
import { limits, utf8Length } from '../limits.ts';
import { stepNameFromId } from '../step-id.ts';
import { answerFromJson, answerToJson } from '../wire/answer-json.ts';
import {
  type Failure,
  type JobEnd,
  type Payload,
  payloadText,
  type Report,
  type ReportAnswer,
  type StepRecord,
} from '../wire/job.ts';
import { payloadFromText } from '../wire/parts-json.ts';
import {
  OUTPUT_OF_RUN,
  recordFromJson,
  recordToJson,
  reportRestFromJson,
  reportRestToJson,
} from '../wire/report-json.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';

const COMPLETED = 1;
const FAILED = 2;
const SUSPENDED = 3;

/** A report and its number on the stream, or why it cannot be taken. */
export interface NumberedReport {
  readonly number: number;
  readonly report: Report | undefined;
  readonly error: unknown;
}

export function writeReport(to: ByteWriter, field: number, number: number, report: Report): void {
  const { end } = report;
  const begun = to.begin(field);
  to.uint(1, number);
  to.text(2, report.jobId);
  to.uint(3, report.fence);
  to.text(4, report.leaseToken);
  to.uint(5, report.seenWakes);
  for (const record of report.records) writeRecord(to, record);
  if (end?.status === 'completed') {
    to.uint(7, COMPLETED);
    to.text(8, payloadText(end.output));
  } else if (end?.status === 'failed') to.uint(7, FAILED);
  else if (end?.status === 'suspended') to.uint(7, SUSPENDED);
  to.text(9, reportRestToJson(report));
  to.bool(10, report.kept ?? false);
  to.end(begun);
}

/** Never throws for what a report says: it is then told apart from the others in its frame. */
export function readReport(from: ByteReader): NumberedReport {
  let number = 0;
  let jobId = '';
  let fence = 0;
  let leaseToken = '';
  let seenWakes = 0;
  let status = 0;
  let output: string | undefined;
  let more = '';
  let kept = false;
  let error: unknown;
  const records: StepRecord[] = [];
  while (from.next()) {
    switch (from.field) {
      case 1:
        number = from.uint();
        break;
      case 2:
        jobId = from.text();
        break;
      case 3:
        fence = from.uint();
        break;
      case 4:
        leaseToken = from.text();
        break;
      case 5:
        seenWakes = from.uint();
        break;
      case 6:
        try {
          records.push(readRecord(from.message()));
        } catch (wrong) {
          error ??= wrong;
        }
        break;
      case 7:
        status = from.uint();
        break;
      case 8:
        output = from.text();
        break;
      case 9:
        more = from.text();
        break;
      case 10:
        kept = from.bool();
    }
  }
  if (error !== undefined) return { number, report: undefined, error };
  try {
    if (records.length > limits.stepsPerReportMax) throw tooMany(records.length);
    const { error: failure, ...rest } = more === '' ? nothing : reportRestFromJson(parsed(more));
    const end = endFrom(status, output, failure);
    const report: Report = {
      ...{ jobId, fence, leaseToken, seenWakes, records, ...rest },
      ...(end && { end }),
      ...(kept && { kept }),
    };
    return { number, report, error: undefined };
  } catch (wrong) {
    return { number, report: undefined, error: wrong };
  }
}

const nothing: ReturnType<typeof reportRestFromJson> = {
  waits: [],
  error: { code: 'ERROR', message: 'The worker reported a failure without saying why.', retryable: true },
};

function endFrom(status: number, output: string | undefined, error: Failure): JobEnd | undefined {
  switch (status) {
    case 0:
      return undefined;
    case COMPLETED:
      return { status: 'completed', output: payloadFromText(output ?? 'null', OUTPUT_OF_RUN) };
    case FAILED:
      return { status: 'failed', error };
    case SUSPENDED:
      return { status: 'suspended' };
    default:
      throw new ValidationError(`A report ends its job in a way that this engine does not know (${status}).`);
  }
}

function writeRecord(to: ByteWriter, record: StepRecord): void {
  const begun = to.begin(6);
  if (record.kind === 'run' && record.status === 'completed' && record.hasStart !== true) {
    to.text(1, record.stepId);
    to.text(2, record.name);
    if (record.output !== undefined) to.text(3, payloadText(record.output));
    to.uint(4, record.attempt);
    to.uint(5, record.wake);
    to.uint(6, record.sequence);
    to.double(7, record.startedAt);
    to.double(8, record.endedAt);
  } else to.text(9, recordToJson(record));
  to.end(begun);
}

function readRecord(from: ByteReader): StepRecord {
  let stepId = '';
  let name = '';
  let output: string | undefined;
  let attempt = 1;
  let wake = 0;
  let sequence = 0;
  let startedAt = 0;
  let endedAt = 0;
  let more = '';
  while (from.next()) {
    switch (from.field) {
      case 1:
        stepId = from.text();
        break;
      case 2:
        name = from.text();
        break;
      case 3:
        output = from.text();
        break;
      case 4:
        attempt = from.uint();
        break;
      case 5:
        wake = from.uint();
        break;
      case 6:
        sequence = from.uint();
        break;
      case 7:
        startedAt = from.double();
        break;
      case 8:
        endedAt = from.double();
        break;
      case 9:
        more = from.text();
    }
  }
  if (more !== '') return recordFromJson(parsed(more));
  assertStepId(stepId);
  if (name === '') name = stepNameFromId(stepId);
  if (name.length > limits.nameLengthMax) throw wrongStep('name', `is longer than ${limits.nameLengthMax} characters`);
  const payload: Payload | undefined =
    output === undefined ? undefined : payloadFromText(output, `output of step "${name}"`);
  return {
    ...{ stepId, name, kind: 'run', status: 'completed', output: payload },
    ...{ attempt, wake, sequence, startedAt, endedAt },
  };
}

function parsed(json: string): unknown {
  assertJsonDepth(json, 'job report');
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new ValidationError('A part of a job report is not JSON.', { cause });
  }
}

function assertStepId(stepId: string): void {
  if (stepId === '') throw wrongStep('id', 'is missing');
  if (stepId.length * 3 > limits.stepIdBytesMax && utf8Length(stepId) > limits.stepIdBytesMax)
    throw wrongStep('id', `is longer than ${limits.stepIdBytesMax} bytes`);
}

function wrongStep(path: string, message: string): ValidationError {
  return new ValidationError(`A step in a job report cannot be taken: its ${path} ${message}.`, {
    validationErrors: [{ path: `steps.${path}`, message }],
  });
}

function tooMany(count: number): ValidationError {
  const message = `has ${count} records; at most ${limits.stepsPerReportMax} are taken at once`;
  return new ValidationError(`A job report cannot be taken: it ${message}.`, {
    validationErrors: [{ path: 'steps', message }],
  });
}

// ── answers ──

export function writeAnswer(to: ByteWriter, field: number, number: number, answer: ReportAnswer): void {
  const isPlain =
    answer.status === 'accepted' &&
    answer.retries.length === 0 &&
    answer.resolutions.length === 0 &&
    answer.pausing !== true;
  const begun = to.begin(field);
  to.uint(1, number);
  if (isPlain) to.bool(2, answer.ended);
  else to.text(3, answerToJson(answer));
  to.end(begun);
}

/** @param said - JSON that says why a report was not taken, as in a batch of the REST worker. */
export function writeRefusal(to: ByteWriter, field: number, number: number, said: string): void {
  const begun = to.begin(field);
  to.uint(1, number);
  to.text(3, said);
  to.end(begun);
}

export interface NumberedAnswer {
  readonly number: number;
  readonly answer: ReportAnswer | undefined;
  /** What was said in place of an answer: `{status: 'error', code, message, retryable, details}`. */
  readonly refusal: unknown;
}

const accepted: ReportAnswer = { status: 'accepted', ended: false, retries: [], resolutions: [] };
const ended: ReportAnswer = { ...accepted, ended: true };

/** @throws {ValidationError} */
export function readAnswer(from: ByteReader): NumberedAnswer {
  let number = 0;
  let isOver = false;
  let more = '';
  while (from.next()) {
    switch (from.field) {
      case 1:
        number = from.uint();
        break;
      case 2:
        isOver = from.bool();
        break;
      case 3:
        more = from.text();
    }
  }
  if (more === '') return { number, answer: isOver ? ended : accepted, refusal: undefined };
  const said: unknown = JSON.parse(more);
  const isRefusal = said !== null && typeof said === 'object' && 'status' in said && said.status === 'error';
  if (isRefusal) return { number, answer: undefined, refusal: said };
  return { number, answer: answerFromJson(said), refusal: undefined };
}
