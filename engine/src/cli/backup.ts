import { parseArgs } from 'node:util';
import { isIronflowError, ValidationError } from '@ironflow/core';
import { backUp } from '../main.ts';
import { exitCodeOf } from './exit-codes.ts';
import type { Program } from './program.ts';

const backupHelp = `Usage: ironflow backup --to <file> [--data <directory>]

Writes a consistent copy of a SQLite database to a file, while its engine runs. To restore it, stop the engine, put the
copy in an empty data directory under the name ironflow.db, and start an engine there. For PostgreSQL, use pg_dump.

Options:
  --to <file>             Where the copy goes. It must not be there yet.
  --data <directory>      The engine's data directory. Default ./.ironflow, or IRONFLOW_DATA.
`;

export async function backup(args: readonly string[], program: Program): Promise<number> {
  try {
    const { to, data, help } = parseBackupArgs(args);
    if (help) {
      program.out(backupHelp);
      return 0;
    }
    if (to === undefined) throw new ValidationError('Say where the copy goes: ironflow backup --to <file>.');
    const dataDir = data ?? (program.env['IRONFLOW_DATA'] || './.ironflow');
    await backUp({ dataDir, to });
    program.out(`The database of ${dataDir} was copied to ${to}.\n`);
    return 0;
  } catch (error) {
    if (!isIronflowError(error)) throw error;
    program.err(`ironflow: ${error.message}\n`);
    return exitCodeOf(error);
  }
}

function parseBackupArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { to: { type: 'string' }, data: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ', 1)[0] : String(error);
    throw new ValidationError(`${reason}. See: ironflow backup --help`, { cause: error });
  }
}
