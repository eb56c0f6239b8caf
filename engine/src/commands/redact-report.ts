// What a function that was given secrets hands in, without their values.

import type { Redactor } from '@ironflow/core';
import {
  type Failure,
  type Payload,
  type Report,
  redactedFailure,
  redactedPayload,
  type StepRecord,
} from '@ironflow/core/wire';

/**
 * The report with *** in the place of values. Names are keys of the history, and cannot be changed: where one of them has a
 * value in it, the report becomes the run's failure.
 */
export function redactedReport(report: Report, redactor: Redactor): Report {
  const alternatives = report.waits.flatMap((wait) => ('alternatives' in wait ? wait.alternatives : []));
  const { failing, starts = [] } = report;
  const named = [...alternatives, ...report.records, ...report.waits, ...starts].some((item) =>
    hasValueInName(item, redactor),
  );
  if (named) return { ...report, records: [], waits: [], starts: [], end: { status: 'failed', error: valueInName } };
  const { end } = report;
  return {
    ...report,
    records: report.records.map((record): StepRecord => redactedFields(record, redactor)),
    waits: report.waits.map((wait) => redactedFields(wait, redactor)),
    ...(end && { end: redactedFields(end, redactor) }),
    ...(failing && { failing: redactedFailure(failing, redactor) }),
  };
}

/** Whatever is a payload or a failure among the fields of a step, a wait or an end. */
function redactedFields<T extends object>(item: T, redactor: Redactor): T {
  const redacted = Object.entries(item).map(([name, value]): [string, unknown] => {
    if (isPayload(value)) return [name, redactedPayload(value, redactor)];
    return [name, name === 'error' && value !== undefined ? redactedFailure(value as Failure, redactor) : value];
  });
  return Object.fromEntries(redacted) as T; // the same fields, with values of the same types
}

const isPayload = (value: unknown): value is Payload =>
  value !== null && typeof value === 'object' && ('text' in value || 'value' in value);

function hasValueInName(item: object, redactor: Redactor): boolean {
  return Object.values(item).some((value) => typeof value === 'string' && redactor.finds(value));
}

const valueInName: Failure = {
  name: 'ValidationError',
  code: 'SECRET_IN_NAME',
  retryable: false,
  message:
    'The name, function, event or match of a step has the value of a secret in it. Names are stored and shown as they are: take the value out of it.',
};
