import { parseArgs } from 'node:util';
import { isIronflowError, parseDuration, ValidationError } from '@ironflow/core';
import { callHelp, callOptions, type EngineCaller, engineCaller } from './engine-call.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import type { Program } from './program.ts';
import { type Entry, entryText, type Run, runLines, runText } from './run-text.ts';

const runsHelp = `Usage: ironflow runs <command> [options]

Commands:
  list                       Runs, newest first.
  show <run>                 A run with its steps and attempts, and why it has not ended.
  audit [<run>]              What was done to a run, or to all, by whom and why.
  cancel <run>...            Ends runs that have not ended.
  pause <run>...             Has runs come to rest. Events and times are met meanwhile.
  resume <run>... [--from-step <step>]   Lets runs go on that are paused or have failed.
  retry <run>... [--from-step <step>]    Lets runs go on that have failed.
  rerun <run> [--input <json>]           Starts another run for the same event, or for other data.
  patch <step id> --output <json>        Replaces what a step has returned.

cancel, pause, resume and retry take a filter in place of runs, and then do so to all that it fits.

Filter:
  --function <id>         --status <status>       --event <name>          --event-id <id>         --parent <run>
  --attribute <name>=<value>   What it is about; again for another one, and runs have both.
  --since <time>          Created from then on: 2026-01-31T12:00:00Z, or 2h for two hours ago.
  --until <time>          Created up to then.
  --all                   Every run there is.

Options:
  --reason <text>         Kept in the audit trail.
  --limit <number>        Rows of a listing. Default 50.
  --cursor <cursor>       Where a listing goes on.
  --json                  Write JSON: one object, or one a line for listings.
${callHelp}

Exit code: 0 when it is done; 2 when the options are wrong, or the key; 6 when the engine does not answer; 7 when there is
no such run or step; 8 when the status of a run forbids it; 1 otherwise.
`;

const options = {
  ...callOptions,
  function: { type: 'string' },
  status: { type: 'string' },
  event: { type: 'string' },
  'event-id': { type: 'string' },
  parent: { type: 'string' },
  attribute: { type: 'string', multiple: true },
  since: { type: 'string' },
  until: { type: 'string' },
  all: { type: 'boolean' },
  'from-step': { type: 'string' },
  input: { type: 'string' },
  output: { type: 'string' },
  reason: { type: 'string' },
  limit: { type: 'string' },
  cursor: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>['values'];

interface Asked {
  readonly command: string;
  readonly ids: readonly string[];
  readonly values: Values;
  readonly engine: EngineCaller;
  readonly program: Program;
}

export async function runs(args: readonly string[], program: Program): Promise<number> {
  try {
    const { values, positionals } = readArgs(args);
    const [command, ...ids] = positionals;
    if (values.help || command === undefined) {
      program.out(runsHelp);
      return values.help ? 0 : exitCodes.usage;
    }
    const work = commands[command];
    if (work === undefined) throw usage(`there is no command "${command}"`);
    return await work({ command, ids, values, engine: engineCaller(values, program), program });
  } catch (error) {
    if (!isIronflowError(error)) throw error;
    program.err(`ironflow: ${error.message}\n`);
    return exitCodeOf(error);
  }
}

const commands: Readonly<Record<string, (asked: Asked) => Promise<number>>> = {
  list,
  show,
  audit,
  cancel: steer,
  pause: steer,
  resume: steer,
  retry: steer,
  rerun,
  patch,
};

async function list({ values, engine, program }: Asked): Promise<number> {
  const { attributes = {}, ...filter } = filterOf(values, program);
  const attributeFields = Object.entries(attributes).map(([name, value]) => [`attribute.${name}`, value] as const);
  const fields = { ...filter, ...Object.fromEntries(attributeFields), limit: values.limit, cursor: values.cursor };
  const query = queryOf(fields);
  const page = (await engine.get(`/api/v1/runs${query}`)) as unknown as Page & { readonly runs: readonly Run[] };
  if (values.json) program.out(page.runs.map((run) => `${JSON.stringify(run)}\n`).join(''));
  else program.out(runLines(page.runs));
  tellOfMore(page, page.runs.length, values, program);
  return 0;
}

async function show({ ids, values, engine, program }: Asked): Promise<number> {
  const run = await engine.get(`${pathOf(only(ids, 'run'))}?include=steps`);
  program.out(values.json ? `${JSON.stringify(run)}\n` : runText(run as unknown as Run));
  return 0;
}

async function audit({ ids, values, engine, program }: Asked): Promise<number> {
  if (ids.length > 1) throw usage('name one run, or none');
  const { since, until } = filterOf(values, program);
  const query = queryOf({
    run_id: ids[0],
    from_timestamp: since,
    to_timestamp: until,
    limit: values.limit,
    cursor: values.cursor,
  });
  const page = (await engine.get(`/api/v1/audit${query}`)) as unknown as Page & { readonly entries: readonly Entry[] };
  const write = values.json ? (entry: Entry) => `${JSON.stringify(entry)}\n` : entryText;
  program.out(page.entries.map(write).join(''));
  tellOfMore(page, page.entries.length, values, program);
  return 0;
}

/** Cancels, pauses, resumes or retries: the runs that are named, or all that a filter fits. */
async function steer(asked: Asked): Promise<number> {
  const { command, ids, values, engine, program } = asked;
  const filter = filterOf(values, program);
  const filtered = Object.keys(filter).length > 0 || values.all === true;
  if (ids.length > 0 && filtered) throw usage('name runs, or give a filter, not both');
  if (ids.length === 0 && !filtered) throw usage(`name runs to ${command}, or give a filter, or --all`);
  const fromStep = values['from-step'];
  if (fromStep !== undefined && (ids.length === 0 || command === 'cancel' || command === 'pause'))
    throw usage('--from-step goes with runs that are named, to resume or to retry');
  if (filtered) return steerAll(asked, filter);
  let exitCode = 0;
  for (const id of ids) {
    try {
      const body = { reason: values.reason, from_step: fromStep };
      const run = (await engine.post(`${pathOf(id)}/${command}`, body)) as unknown as Run;
      program.out(values.json ? `${JSON.stringify(run)}\n` : runLines([run], false));
    } catch (error) {
      if (!isIronflowError(error)) throw error;
      program.err(`ironflow: ${error.message}\n`);
      exitCode ||= exitCodeOf(error);
    }
  }
  return exitCode;
}

async function steerAll({ command, values, engine, program }: Asked, filter: Filter): Promise<number> {
  let [done, refused, total] = [0, 0, 0];
  const refusals: unknown[] = [];
  for (let cursor: unknown; ; ) {
    const answer = await engine.post('/api/v1/runs/bulk', { action: command, filter, reason: values.reason, cursor });
    done += Number(answer['done']);
    refused += Number(answer['refused']);
    total = Number(answer['totalCount'] ?? total);
    refusals.push(...(answer['refusals'] as unknown[]));
    if (program.isTerminal) program.err(`\r${done + refused} of ${total}`);
    cursor = answer['nextCursor'];
    if (cursor === undefined) break;
  }
  if (program.isTerminal) program.err('\n');
  if (values.json) program.out(`${JSON.stringify({ action: command, done, refused, refusals })}\n`);
  else {
    for (const { message } of refusals as { message: string }[]) program.err(`ironflow: ${message}\n`);
    program.out(`${command}: ${done} done, ${refused} refused.\n`);
  }
  return refused > 0 ? exitCodes.refused : 0;
}

async function rerun({ ids, values, engine, program }: Asked): Promise<number> {
  const body = {
    reason: values.reason,
    ...(values.input !== undefined && { input: jsonFrom(values.input, '--input') }),
  };
  const run = (await engine.post(`${pathOf(only(ids, 'run'))}/rerun`, body)) as unknown as Run;
  program.out(values.json ? `${JSON.stringify(run)}\n` : runLines([run], false));
  return 0;
}

async function patch({ ids, values, engine, program }: Asked): Promise<number> {
  if (values.output === undefined) throw usage('--output has the JSON that the step is to have returned');
  const body = {
    step_id: only(ids, 'step id'),
    output: jsonFrom(values.output, '--output'),
    reason: values.reason,
  };
  const step = await engine.post('/api/v1/steps/patch', body);
  program.out(values.json ? `${JSON.stringify(step)}\n` : `Step ${step['id']} has its new output.\n`);
  return 0;
}

// ── parts ──

interface Page {
  readonly nextCursor?: string;
  readonly totalCount: number;
}

function tellOfMore({ nextCursor, totalCount }: Page, shown: number, values: Values, program: Program): void {
  if (values.json) {
    if (nextCursor !== undefined) program.err(`${JSON.stringify({ nextCursor, totalCount })}\n`);
  } else {
    const more = nextCursor === undefined ? '' : `; more with --cursor ${nextCursor}`;
    program.out(`${shown} of ${totalCount}${more}\n`);
  }
}

type Filter = ReturnType<typeof filterOf>;

function filterOf(values: Values, program: Program) {
  const given = {
    function_id: values.function,
    status: values.status,
    event_name: values.event,
    event_id: values['event-id'],
    parent_run_id: values.parent,
    since: values.since && timeFrom(values.since, '--since', program),
    until: values.until && timeFrom(values.until, '--until', program),
  };
  const fields = Object.entries(given).filter((field): field is [keyof typeof given, string] => Boolean(field[1]));
  const attributes = attributesFrom(values.attribute ?? []);
  return {
    ...(Object.fromEntries(fields) as { [K in keyof typeof given]?: string }), // of these fields
    ...(attributes !== undefined && { attributes }),
  };
}

function attributesFrom(texts: readonly string[]): Record<string, string> | undefined {
  const attributes = new Map<string, string>();
  for (const text of texts) {
    const [, name, value] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined)
      throw usage(`--attribute is "${text}"; write a name and a value, such as orderId=42`);
    if (attributes.has(name)) throw usage(`--attribute ${name} is there twice, and a run has it once`);
    attributes.set(name, value);
  }
  return attributes.size === 0 ? undefined : Object.fromEntries(attributes);
}

/** An instant, or how long ago it was. */
function timeFrom(text: string, option: string, program: Program): string {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text))
    return new Date(program.now() - parseDuration(text, option)).toISOString();
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw usage(`${option} is "${text}"; write a time such as 2026-01-31T12:00:00Z, or 2h`);
  return new Date(ms).toISOString();
}

function queryOf(fields: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}

const pathOf = (runId: string) => `/api/v1/runs/${encodeURIComponent(runId)}`;

function only(ids: readonly string[], what: string): string {
  const [id] = ids;
  if (id === undefined || id === '' || ids.length > 1) throw usage(`name one ${what}`);
  return id;
}

function jsonFrom(text: string, option: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ValidationError(`${option} is not JSON: ${text.slice(0, 100)}`, { cause });
  }
}

const usage = (what: string) => new ValidationError(`${what}. See: ironflow runs --help`);

function readArgs(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ', 1)[0] : String(error);
    throw new ValidationError(`${reason}. See: ironflow runs --help`, { cause: error });
  }
}
