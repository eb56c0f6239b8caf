import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isIronflowError, parseDuration, ValidationError } from '@ironflow/core';
import { createEngine, type EmbeddedEngine } from '../main.ts';
import { version } from '../version.ts';
import { exitCodeOf } from './exit-codes.ts';
import { createLogger, type LogLevel, logLevels } from './logger.ts';
import type { Program } from './program.ts';
import { storeHelp, storeOptionsFrom } from './store-options.ts';

const serveHelp = `Usage: ironflow serve [options]

Starts an engine and answers on its port until it is stopped.

Options:
  --port <number>         Port to listen on. Default 9123, or IRONFLOW_PORT.
  --host <address>        Address to listen on. Default 127.0.0.1, or IRONFLOW_HOST.
                          Beyond this machine only with keys (IRONFLOW_API_KEY) or --insecure.
${storeHelp}
  --retention <duration>  How long finished runs are kept, such as 30d. Default: for ever.
  --lease <duration>      How long a worker may be silent before others take its runs. Default 30s.
  --public-url <url>      Where push endpoints reach this engine. Default: the address it listens on.
  --push-concurrency <n>  Requests open to one push endpoint at a time, from this engine. Default 50.
  --insecure              Listen beyond this machine without keys.
  --log-level <level>     debug, info, warn or error. Default info, or IRONFLOW_LOG_LEVEL.
  --log-json              Write log lines as JSON. Default where the log is not read at a terminal.

Environment:
  IRONFLOW_API_KEY        Keys that callers must have one of, separated by commas.
  IRONFLOW_SIGNING_KEY    Signs push requests.
  IRONFLOW_SECRET_KEY     Seals secrets: 32 bytes in base64 or hex. Several, separated by commas: the first
                          seals, all open.
`;

/** Longest wait for what is under way when the engine is stopped, in milliseconds. */
const SHUTDOWN_MS = 10_000;

export async function serve(args: readonly string[], program: Program): Promise<number> {
  let engine: EmbeddedEngine | undefined;
  try {
    const options = readOptions(args, program);
    if (options === 'help') {
      program.out(serveHelp);
      return 0;
    }
    const logger = createLogger({ level: options.logLevel, json: options.logJson, write: program.err });
    engine = await createEngine({
      ...options.store,
      logger,
      apiKeys: options.apiKeys,
      insecure: options.insecure,
      leaseMs: options.leaseMs,
      runRetentionMs: options.retentionMs,
      secretKeys: options.secretKeys,
      push: { signingKey: options.signingKey, publicUrl: options.publicUrl, concurrency: options.pushConcurrency },
    });
    const { url } = await engine.listen({ port: options.port, host: options.host });
    program.out(banner(url, dataOf(options.store), options));
    const signal = await program.stopped();
    program.err(`\n${signal}: storing what is under way, then stopping.\n`);
    const inTime = await Promise.race([engine.close().then(() => true), program.after(SHUTDOWN_MS).then(() => false)]);
    if (!inTime)
      program.err(
        `Not everything ended within ${SHUTDOWN_MS / 1000} s. What was acknowledged is stored; stopping now.\n`,
      );
    return inTime ? 0 : 1;
  } catch (error) {
    await engine?.close().catch(() => {});
    if (!isIronflowError(error)) throw error;
    program.err(`ironflow: ${error.message}\n`);
    return exitCodeOf(error);
  }
}

interface ServeOptions {
  readonly port: number;
  readonly host: string;
  readonly store: ReturnType<typeof storeOptionsFrom>;
  readonly retentionMs: number | undefined;
  readonly leaseMs: number | undefined;
  readonly publicUrl: string | undefined;
  readonly pushConcurrency: number | undefined;
  readonly insecure: boolean;
  readonly logLevel: LogLevel;
  readonly logJson: boolean;
  readonly apiKeys: readonly string[];
  readonly signingKey: string | undefined;
  readonly secretKeys: readonly string[];
}

function readOptions(args: readonly string[], { env, isTerminal }: Program): ServeOptions | 'help' {
  const values = parseServeArgs(args);
  if (values.help) return 'help';
  const given = (value: string | undefined, name: string) => value ?? (env[name] === '' ? undefined : env[name]);
  const port = given(values.port, 'IRONFLOW_PORT') ?? '9123';
  if (!/^\d+$/.test(port) || Number(port) > 65_535)
    throw new ValidationError(`--port is "${port}"; it must be a number from 0 to 65535.`);
  const logLevel = given(values['log-level'], 'IRONFLOW_LOG_LEVEL') ?? 'info';
  if (!isLogLevel(logLevel))
    throw new ValidationError(`--log-level is "${logLevel}"; it must be one of ${logLevels.join(', ')}.`);
  const publicUrl = values['public-url'];
  if (publicUrl !== undefined && !URL.canParse(publicUrl))
    throw new ValidationError(`--public-url is "${publicUrl}", which is not a URL.`);
  const pushConcurrency = values['push-concurrency'];
  if (pushConcurrency !== undefined && !/^[1-9]\d{0,5}$/.test(pushConcurrency))
    throw new ValidationError(`--push-concurrency is "${pushConcurrency}"; it must be a number from 1 to 999999.`);
  return {
    port: Number(port),
    host: given(values.host, 'IRONFLOW_HOST') ?? '127.0.0.1',
    store: storeOptionsFrom(values, { env }),
    retentionMs: values.retention === undefined ? undefined : parseDuration(values.retention, '--retention'),
    leaseMs: values.lease === undefined ? undefined : parseDuration(values.lease, '--lease'),
    publicUrl,
    pushConcurrency: pushConcurrency === undefined ? undefined : Number(pushConcurrency),
    insecure: values.insecure ?? false,
    logLevel,
    logJson: values['log-json'] ?? !isTerminal,
    apiKeys: listed(env['IRONFLOW_API_KEY']),
    signingKey: given(undefined, 'IRONFLOW_SIGNING_KEY'),
    secretKeys: listed(env['IRONFLOW_SECRET_KEY']),
  };
}

function parseServeArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        store: { type: 'string' },
        data: { type: 'string' },
        retention: { type: 'string' },
        lease: { type: 'string' },
        'public-url': { type: 'string' },
        'push-concurrency': { type: 'string' },
        insecure: { type: 'boolean' },
        'log-level': { type: 'string' },
        'log-json': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ', 1)[0] : String(error);
    throw new ValidationError(`${reason}. See: ironflow serve --help`, { cause: error });
  }
}

const listed = (text = ''): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

const isLogLevel = (text: string): text is LogLevel => (logLevels as readonly string[]).includes(text);

/** Where the data is, for people: without the password of a URL. */
function dataOf({ store, dataDir }: ServeOptions['store']): string {
  if (store === undefined) return resolve(dataDir);
  const url = new URL(store);
  url.password = '';
  return url.href;
}

function banner(url: string, data: string, { apiKeys, signingKey }: ServeOptions): string {
  const keys =
    apiKeys.length === 0
      ? 'none: only this machine may call'
      : `${apiKeys.length}, sent as "Authorization: Bearer <key>"`;
  return `
  Ironflow ${version}

  Address   ${url}
  Data      ${data}
  API keys  ${keys}
  Signing   ${signingKey === undefined ? 'off (IRONFLOW_SIGNING_KEY is not set)' : 'push requests are signed'}

  Next: start a worker with createWorker({ functions }) of @ironflow/node, then send it an event:

    curl -X POST ${url}/api/v1/events -H 'content-type: application/json' \\
      -d '{"name":"order.placed","data":{"orderId":"1"}}'

  Ctrl-C stops the engine. Nothing that was acknowledged is lost, however it stops.

`;
}
