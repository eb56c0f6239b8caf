import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { StepContext } from '@ironflow/node';

export interface LedgerLine {
  readonly at: number;
  readonly order: string;
  readonly step: string;
  /** The step's id in its run: the same for every attempt. */
  readonly id: string;
  readonly attempt: number;
  readonly worker: number;
  readonly what: 'started' | 'ended' | 'failed';
}

/** A file outside the engine into which bodies write that they ran. */
export class Ledger {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** A body that writes when it starts and how it ends, and takes `ms` for its work. */
  body<T>(order: string, step: string, work: () => T, ms: number): (context: StepContext) => Promise<T> {
    return async ({ attempt, idempotencyKey: id }) => {
      const write = (what: LedgerLine['what']) =>
        this.#append({ at: Date.now(), order, step, id, attempt, worker: process.pid, what });
      write('started');
      await new Promise((resolve) => setTimeout(resolve, ms));
      try {
        const result = work();
        write('ended');
        return result;
      } catch (error) {
        write('failed');
        throw error;
      }
    };
  }

  lines(): LedgerLine[] {
    if (!existsSync(this.#path)) return [];
    const text = readFileSync(this.#path, 'utf8');
    // A killed worker may have left half a line at the end.
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LedgerLine);
  }

  #append(line: LedgerLine): void {
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }
}
