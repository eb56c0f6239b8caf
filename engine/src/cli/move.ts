import { parseArgs } from 'node:util';
import { isIronflowError, ValidationError } from '@ironflow/core';
import { moveToPostgres } from '../main.ts';
import { exitCodeOf } from './exit-codes.ts';
import type { Program } from './program.ts';
import { assertPostgresUrl } from './store-options.ts';

const moveHelp = `Usage: ironflow move --from <directory> --to <url>

Moves a SQLite database into PostgreSQL: every run, step, wait and event, at its position. Stop the engine first. The
SQLite database stays as it is; the target must be empty. Afterwards both are compared, table by table.

Options:
  --from <directory>      The SQLite engine's data directory.
  --to <url>              postgres://user:password@host/database
`;

export async function move(args: readonly string[], program: Program): Promise<number> {
  try {
    const options = readOptions(args);
    if (options === 'help') {
      program.out(moveHelp);
      return 0;
    }
    const moved = await moveToPostgres(options);
    for (const { table, rows, hash } of moved)
      program.out(`${table.padEnd(18)} ${String(rows).padStart(9)} rows, sha256 ${hash.slice(0, 16)}, equal\n`);
    program.out(
      'Everything has moved and was compared. Start the engine with --store and that URL; keep the SQLite directory until you are content.\n',
    );
    return 0;
  } catch (error) {
    if (!isIronflowError(error)) throw error;
    program.err(`ironflow: ${error.message}\n`);
    return exitCodeOf(error);
  }
}

function readOptions(args: readonly string[]) {
  const { from, to, help } = parseMoveArgs(args);
  if (help) return 'help';
  if (from === undefined || to === undefined)
    throw new ValidationError('Say what to move where: ironflow move --from <directory> --to <url>.');
  assertPostgresUrl('--to', to);
  return { dataDir: from, url: to };
}

function parseMoveArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { from: { type: 'string' }, to: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ', 1)[0] : String(error);
    throw new ValidationError(`${reason}. See: ironflow move --help`, { cause: error });
  }
}
