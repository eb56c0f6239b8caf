// Runs as people read them.

export interface Run {
  readonly id: string;
  readonly functionId: string;
  readonly functionVersion: number;
  readonly eventId: string;
  readonly eventName: string;
  readonly status: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly why?: string;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly error?: Failure;
  readonly parentRunId?: string;
  readonly rerunOf?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly pauseRequested?: boolean;
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly steps?: readonly Step[];
  readonly attempts?: readonly Attempt[];
}

interface Failure {
  readonly message: string;
  readonly code: string;
}

interface Step {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly status: string;
  readonly output?: unknown;
  readonly error?: Failure;
  readonly durationMs?: number;
  readonly dueAt?: string;
  readonly patchedAt?: string;
  readonly attempts: readonly Attempt[];
}

interface Attempt {
  readonly number: number;
  readonly outcome: string;
  readonly worker?: string;
  readonly error?: Failure;
  readonly endedAt: string;
}

export interface Entry {
  readonly runId: string;
  readonly eventType: string;
  readonly stepId?: string;
  readonly actor?: string;
  readonly reason?: string;
  readonly payload?: { readonly error?: { readonly message?: string } };
  readonly createdAt: string;
}

/** Characters of a value that are shown. */
const VALUE_MAX = 200;

/** A line for each run, under a head. */
export function runLines(runs: readonly Run[], head = true): string {
  const rows = runs.map((run) => [
    run.id,
    run.functionId,
    run.pauseRequested ? `${run.status}, to be paused` : run.status,
    run.createdAt,
    took(run),
    run.error === undefined ? '' : `${run.error.code}: ${oneLine(run.error.message)}`,
  ]);
  return plain(columns(head ? [['RUN', 'FUNCTION', 'STATUS', 'CREATED', 'TOOK', 'ERROR'], ...rows] : rows));
}

export function runText(run: Run): string {
  const fields: [string, string | undefined][] = [
    ['Run', run.id],
    ['Function', `${run.functionId} version ${run.functionVersion}`],
    ['Event', `${run.eventName} ${run.eventId}`],
    ['Parent', run.parentRunId],
    ['Rerun of', run.rerunOf],
    ['Attributes', run.attributes && attributesText(run.attributes)],
    ['Status', run.status],
    ['Why', run.why],
    ['Attempt', `${run.attempt} of ${run.maxAttempts}`],
    ['Created', run.createdAt],
    ['Started', run.startedAt],
    ['Ended', run.endedAt && `${run.endedAt} (took ${took(run)})`],
    ['Input', valueText(run.input)],
    ['Output', valueText(run.output)],
    ['Error', run.error && `${run.error.code}: ${oneLine(run.error.message)}`],
  ];
  const text = columns(fields.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  const lost = run.attempts ?? [];
  const attempts = lost.length === 0 ? '' : `\nAttempts\n${lost.map(attemptText).join('')}`;
  const steps = run.steps ?? [];
  return plain(`${text}${attempts}${steps.length === 0 ? '' : `\nSteps\n${steps.map(stepText).join('')}`}`);
}

export function entryText({ createdAt, eventType, runId, stepId, actor, reason, payload }: Entry): string {
  const about = stepId ?? runId;
  const why = reason ?? (actor === undefined ? payload?.error?.message : undefined);
  return plain(
    `${createdAt}  ${eventType}  ${about}  ${actor ?? 'the run'}${why === undefined ? '' : `: ${oneLine(why)}`}\n`,
  );
}

function stepText(step: Step): string {
  const until = step.dueAt === undefined ? '' : ` until ${step.dueAt}`;
  const time = step.durationMs === undefined ? '' : ` in ${step.durationMs} ms`;
  const patched = step.patchedAt === undefined ? '' : `, patched at ${step.patchedAt}`;
  const head = `  ${step.name}  ${step.type} ${step.status}${until}${time}${patched}\n`;
  const output = step.output === undefined ? '' : `      ${valueText(step.output)}\n`;
  const error = step.error === undefined ? '' : `      ${step.error.code}: ${oneLine(step.error.message)}\n`;
  return `${head}      ${step.id}\n${output}${error}${step.attempts.map((one) => `    ${attemptText(one)}`).join('')}`;
}

function attemptText({ number, outcome, worker, error, endedAt }: Attempt): string {
  const where = worker === undefined ? '' : ` on ${worker}`;
  const why = error === undefined ? '' : `  ${error.code}: ${oneLine(error.message)}`;
  return `  attempt ${number} ${outcome === 'unknown' ? 'lost, outcome unknown' : outcome}${where} at ${endedAt}${why}\n`;
}

function attributesText(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

function took({ startedAt, endedAt }: Run): string {
  if (startedAt === undefined || endedAt === undefined) return '';
  return `${Date.parse(endedAt) - Date.parse(startedAt)} ms`;
}

function valueText(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const text = JSON.stringify(value);
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}… (${text.length} characters; --json has all)` : text;
}

const oneLine = (text: string) => text.split('\n', 1).join('').slice(0, VALUE_MAX);

/** Text of others as a terminal shows it, and does not act upon it. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ');
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
