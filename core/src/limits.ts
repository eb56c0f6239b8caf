// Every bound a caller can meet (docs/reference/limits.md).

export const limits = {
  /** Bytes of an HTTP request body. */
  bodyBytesMax: 4 * 1024 * 1024,
  /** Bytes of a worker's reports: a payload of its largest size, written as text within JSON, still fits. */
  reportBytesMax: 16 * 1024 * 1024,
  /** Bytes of one step's output, a run's output, or an event's data, as JSON. */
  payloadBytesMax: 4 * 1024 * 1024,
  /** Levels of arrays and objects within each other. */
  jsonDepthMax: 64,
  /** Characters of a function id, an event name, a step name, a worker id, an idempotency key. */
  nameLengthMax: 255,
  /** Bytes in UTF-8 of a whole step id: run, branches, name and counter. */
  stepIdBytesMax: 2_048,
  /** Events that one `step.waitForAny` waits for. */
  alternativesMax: 32,
  /** Characters of the CEL expression of a wait. */
  matchExpressionLengthMax: 2_000,
  /** Characters of such an expression with what it needs of the run's event, as it is stored. */
  matchExpressionBytesMax: 16_384,
  /** Characters of a path that a wait compares. */
  matchPathLengthMax: 255,
  /** Characters of an error's message and of its stack, as stored; the rest is cut. */
  errorTextLengthMax: 16_384,
  /** Step records in one report. */
  stepsPerReportMax: 500,
  /** Reports in one request of a worker that batches. */
  reportsPerRequestMax: 1_000,
  /** Waits begun in one report. */
  waitsPerReportMax: 10_000,
  /** Steps of one run. */
  stepsPerRunMax: 1_000_000,
  /** Steps that one restart of a run drops. */
  stepsPerRestartMax: 10_000,
  /** Runs that one call of a bulk operation looks at; the next call goes on. */
  runsPerBulkCallMax: 500,
  /** Attributes that one function declares, and that one filter has. */
  attributesPerFunctionMax: 16,
  /** Characters of an attribute's name, and of its value: what is longer is no attribute. */
  attributeNameLengthMax: 64,
  attributeValueLengthMax: 255,
  /** Triggers of one function. */
  triggersPerFunctionMax: 100,
  /** Functions started by one event. */
  runsPerEventMax: 1_000,
  /** Functions one worker may announce. */
  functionsPerWorkerMax: 1_000,
  /** Jobs one worker may hold. */
  jobsPerWorkerMax: 10_000,
  /** Characters of a secret's value at least: a shorter one would be found in what has nothing to do with it. And bytes at most. */
  secretLengthMin: 8,
  secretBytesMax: 65_536,
  /** Rows of one page of a listing; and what a listing gives when not told. */
  pageSizeMax: 1_000,
  pageSizeDefault: 50,
} as const;

/** How many bytes a text takes in UTF-8. Half a character takes three, as where it is replaced. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    if (code < 0x800) bytes += 1;
    // A pair of surrogates is two units and four bytes.
    else if (code >= 0xd800 && code < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}
