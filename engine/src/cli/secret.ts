import { parseArgs } from 'node:util';
import { isIronflowError, ValidationError } from '@ironflow/core';
import { addressFrom, callEngine, callHelp, type EngineAddress } from './call-engine.ts';
import { exitCodeOf } from './exit-codes.ts';
import type { Program } from './program.ts';

const secretHelp = `Usage: ironflow secret <set|list|rm> [name] [options]

Values that functions read with secrets.get(name), when they declare the name. The engine seals them with
IRONFLOW_SECRET_KEY, and never gives them out again.

  ironflow secret set STRIPE_KEY < key.txt     Set or replace a value, read from the standard input.
  ironflow secret list                         List the names, and when each was set.
  ironflow secret rm STRIPE_KEY                Remove it.

Options:
${callHelp}
  --json                  Write JSON.
`;

interface Listed {
  readonly name: string;
  readonly revision: number;
  readonly key_id: string;
  readonly updated_at: string;
}

export async function secret(args: readonly string[], program: Program): Promise<number> {
  try {
    const options = readOptions(args, program);
    if (options === 'help') {
      program.out(secretHelp);
      return 0;
    }
    const { action, name, address, json } = options;
    const path = `/api/v1/secrets/${encodeURIComponent(name)}`;
    switch (action) {
      case 'set': {
        const set = (await callEngine(address, 'PUT', path, { value: await valueFrom(program) })) as Listed;
        program.out(json ? `${JSON.stringify(set)}\n` : `${name} is set: revision ${set.revision}.\n`);
        return 0;
      }
      case 'rm':
        await callEngine(address, 'DELETE', path);
        program.out(json ? `${JSON.stringify({ name, removed: true })}\n` : `${name} is removed.\n`);
        return 0;
      case 'list': {
        const found = (await callEngine(address, 'GET', '/api/v1/secrets')) as Listed[];
        if (json) program.out(`${JSON.stringify(found)}\n`);
        else program.out(found.length === 0 ? 'There are no secrets.\n' : table(found));
        return 0;
      }
    }
  } catch (error) {
    if (!isIronflowError(error)) throw error;
    program.err(`ironflow: ${error.message}\n`);
    return exitCodeOf(error);
  }
}

/** What was typed or piped, without the line's end that an editor or `echo` puts behind it. */
async function valueFrom(program: Program): Promise<string> {
  const value = (await program.input('Value: ')).replace(/\r?\n$/, '');
  if (value === '') throw new ValidationError('There is no value. Pipe it in: ironflow secret set NAME < file');
  return value;
}

function table(found: readonly Listed[]): string {
  const width = Math.max(...found.map(({ name }) => name.length));
  return found
    .map(
      ({ name, revision, key_id, updated_at }) =>
        `${name.padEnd(width)}  revision ${revision}, set ${updated_at}, sealed with key ${key_id}\n`,
    )
    .join('');
}

interface SecretOptions {
  readonly action: 'set' | 'list' | 'rm';
  readonly name: string;
  readonly address: EngineAddress;
  readonly json: boolean;
}

function readOptions(args: readonly string[], program: Program): SecretOptions | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const [action, name = '', ...rest] = positionals;
  if (action !== 'set' && action !== 'list' && action !== 'rm')
    throw new ValidationError(`secret ${action ?? ''} is no command: use set, list or rm. See: ironflow secret --help`);
  if (action === 'list' ? name !== '' : name === '' || rest.length > 0) {
    throw new ValidationError(
      action === 'list'
        ? 'secret list takes no name.'
        : `secret ${action} takes one name, and no value: that is read from the standard input, where no list of processes shows it.`,
    );
  }
  return { action, name, address: addressFrom(values, program), json: values.json ?? false };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        url: { type: 'string' },
        env: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ', 1)[0] : String(error);
    throw new ValidationError(`${reason}. See: ironflow secret --help`, { cause: error });
  }
}
