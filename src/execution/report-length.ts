// How long reports and histories are, in characters of their payloads.

import { type Assignment, type Payload, payloadText, type StepRecord, type WaitRequest } from '@ironflow/core/wire';

/** Characters of payload in one report, beyond its first step. */
const REPORT_LENGTH_MAX = 2 * 1024 * 1024;

/** What a payload is taken for that came parsed, in characters: to know better it would have to be written again. */
const PARSED_LENGTH = 256;

/** Characters of the payloads that came with an assignment, as far as they came as text. */
export function lengthOf({ event, memo }: Assignment): number {
  let length = textLength(event.data);
  for (const { output } of memo) if (output !== undefined) length += textLength(output);
  return length;
}

const textLength = (payload: Payload) => ('text' in payload ? payload.text.length : PARSED_LENGTH);

/**
 * Takes from the front of a list as many as one report carries: at most `countMax`, and characters up to the limit. The first
 * goes however long it is, where nothing else is in the report yet.
 * @returns what was taken, and how many characters the report has with it.
 */
export function portion<T>(
  list: T[],
  countMax: number,
  lengthBefore: number,
  lengthOf: (item: T) => number,
): [T[], number] {
  let length = lengthBefore;
  let count = 0;
  for (const item of list) {
    const longer = length + lengthOf(item);
    if (count === countMax || (length > 0 && longer > REPORT_LENGTH_MAX)) break;
    length = longer;
    count++;
  }
  return [list.splice(0, count), length];
}

export const recordLength = ({ record: { output } }: { readonly record: StepRecord }) =>
  output === undefined ? 0 : payloadText(output).length;
export function waitLength(wait: WaitRequest): number {
  if ('input' in wait) return payloadText(wait.input).length;
  return 'data' in wait ? payloadText(wait.data).length : 0;
}
