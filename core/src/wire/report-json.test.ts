import { expect, test } from 'vitest';
import { limits } from '../limits.ts';
import { reportFromJson } from './report-json.ts';

const base = { job_id: 'run_1.1', execution_seq: 1, lease_token: 't', seen_wakes: 0 };
const step = { id: 'run_1:a:0', name: 'a', status: 'completed' };
const wait = { step_id: 'run_1:c:0', name: 'c', kind: 'invoke', wake: 0, sequence: 1, function_id: 'f' };
const text = JSON.stringify('x'.repeat(limits.payloadBytesMax));

test.each([
  ['output of step "a"', { ...base, status: 'progress', steps: [{ ...step, output_json: text }] }],
  ['output of the function', { ...base, status: 'completed', output_json: text }],
  ['input of step "c"', { ...base, status: 'suspended', waits: [{ ...wait, input_json: text }] }],
])('a report whose %s is too large is refused, with the limit', (what, report) => {
  expect(() => reportFromJson(report)).toThrow(
    expect.objectContaining({
      name: 'LimitError',
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringContaining(what),
      details: { limit: 'payloadBytesMax', value: limits.payloadBytesMax, bytes: limits.payloadBytesMax + 2 },
    }),
  );
});
