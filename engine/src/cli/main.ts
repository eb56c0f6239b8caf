// The program `ironflow`.

import { version } from '../version.ts';
import { backup } from './backup.ts';
import { doctor } from './doctor.ts';
import { exitCodes } from './exit-codes.ts';
import { move } from './move.ts';
import { systemProgram } from './program.ts';
import { runs } from './runs.ts';
import { secret } from './secret.ts';
import { serve } from './serve.ts';

const help = `Usage: ironflow <command> [options]

Commands:
  serve      Start an engine.
  runs       Look at runs, and steer them: cancel, pause, resume, retry, patch, rerun.
  doctor     Look at what is stored for what should not be there, and repair it.
  backup     Copy a SQLite database while its engine runs.
  move       Move a SQLite database into PostgreSQL.
  secret     Set, list and remove the secrets that functions read.
  version    Print the version.

"ironflow <command> --help" tells more of a command.
`;

export async function main(args: readonly string[]): Promise<void> {
  const program = systemProgram();
  const [command, ...rest] = args;
  switch (command) {
    case 'serve':
      process.exitCode = await serve(rest, program);
      break;
    case 'runs':
      process.exitCode = await runs(rest, program);
      break;
    case 'doctor':
      process.exitCode = await doctor(rest, program);
      break;
    case 'move':
      process.exitCode = await move(rest, program);
      break;
    case 'secret':
      process.exitCode = await secret(rest, program);
      break;
    case 'backup':
      process.exitCode = await backup(rest, program);
      break;
    case 'version':
    case '--version':
    case '-v':
      program.out(`${version}\n`);
      break;
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      program.out(help);
      break;
    default:
      program.err(`ironflow: there is no command "${command}".\n\n${help}`);
      process.exitCode = exitCodes.usage;
  }
  // Whatever keeps the process from ending now is nobody's work any more.
  if (command === 'serve') process.exit();
}
