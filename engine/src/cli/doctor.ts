import { parseArgs } from 'node:util';
import { isIronflowError, ValidationError } from '@ironflow/core';
import { openDoctor, type StoreOptions } from '../main.ts';
import { exitCodeOf } from './exit-codes.ts';
import type { Program } from './program.ts';
import { storeHelp, storeOptionsFrom } from './store-options.ts';

const doctorHelp = `Usage: ironflow doctor [options]

Looks at what is stored for what no engine would have left there: runs that nothing would wake, leases of
nobody, waits that would never be over, gaps in logs. It may look while engines work.

Options:
${storeHelp}
  --repair                Repair what can be repaired safely. For SQLite, stop its engine first.
  --json                  Write one JSON object for each finding.

Exit code: 0 when nothing was found, or all of it was repaired; 1 otherwise.
`;

export async function doctor(args: readonly string[], program: Program): Promise<number> {
  try {
    const options = readOptions(args, program);
    if (options === 'help') {
      program.out(doctorHelp);
      return 0;
    }
    return await examineAndRepair(options, program);
  } catch (error) {
    if (!isIronflowError(error)) throw error;
    program.err(`ironflow: ${error.message}\n`);
    return exitCodeOf(error);
  }
}

interface DoctorOptions {
  readonly store: StoreOptions;
  readonly repair: boolean;
  readonly json: boolean;
}

async function examineAndRepair({ store, repair, json }: DoctorOptions, program: Program): Promise<number> {
  const patient = await openDoctor({ ...store, repair });
  try {
    const found = await patient.examine();
    for (const { check, rows, message, repair: how } of found) {
      if (json) program.out(`${JSON.stringify({ check, rows, message, repair: how })}\n`);
      else
        program.out(
          `${check}\n  ${rows.join('\n  ')}\n  ${message}\n${how === undefined ? '' : `  Repair: ${how}.\n`}\n`,
        );
    }
    if (found.length === 0) {
      if (!json) program.out('Nothing was found.\n');
      return 0;
    }
    const summary = `${found.length} ${found.length === 1 ? 'finding' : 'findings'}`;
    if (!repair) {
      const mendable = found.filter(({ apply }) => apply !== undefined).length;
      if (!json) program.out(`${summary}. ${mendable} can be repaired with --repair.\n`);
      return 1;
    }
    await patient.repair(found);
    const left = await patient.examine();
    if (!json) program.out(`${summary}; ${left.length} left after the repair.\n`);
    return left.length === 0 ? 0 : 1;
  } finally {
    await patient.close();
  }
}

function readOptions(args: readonly string[], program: Program): DoctorOptions | 'help' {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        data: { type: 'string' },
        store: { type: 'string' },
        repair: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) return 'help';
    return { store: storeOptionsFrom(values, program), repair: values.repair ?? false, json: values.json ?? false };
  } catch (error) {
    if (isIronflowError(error)) throw error;
    const reason = error instanceof Error ? error.message.split('. ', 1)[0] : String(error);
    throw new ValidationError(`${reason}. See: ironflow doctor --help`, { cause: error });
  }
}
