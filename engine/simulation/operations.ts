import type { WriteSet } from '../src/store/port.ts';
import { runAudit } from '../src/store/tables.ts';

/** What somebody did to runs, by the audit entries of a write set: each change that only such an operation may make needs one. */
export class Operations {
  readonly #restarted = new Set<string>();
  readonly #patched = new Set<string>();

  constructor({ puts }: Pick<WriteSet, 'puts'>) {
    for (const { table, row } of puts) {
      if (table !== runAudit) continue;
      if (row['type'] === 'run.restarted') this.#restarted.add(String(row['runId']));
      else if (row['type'] === 'step.patched') this.#patched.add(String(row['stepId']));
    }
  }

  restarts(runId: string): boolean {
    return this.#restarted.has(runId);
  }

  patches(stepId: string): boolean {
    return this.#patched.has(stepId);
  }
}

export const noOperations = new Operations({ puts: [] });
