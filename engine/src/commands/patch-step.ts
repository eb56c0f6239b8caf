import { type JsonText, RunStateError, StepNotFoundError } from '@ironflow/core';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded } from '../kernel/run.ts';
import { type RunRow, runs, type StepRow, steps } from '../store/tables.ts';
import { type Operation, recordOperation } from './audit.ts';
import { existing } from './pause-run.ts';
import type { CommandPorts } from './ports.ts';
import { operatorRedactor, redactedOperation } from './secrets.ts';

export interface PatchStepInput extends Operation {
  readonly runId: string;
  readonly stepId: string;
  readonly output: JsonText;
}

/**
 * Puts another output in the place of a recorded step's; one that had failed has completed from now on. Executions that follow see it.
 * The fence of a run under way is raised, so that who remembers the old one is known by it.
 * @throws {RunStateError} while a worker executes the run, or when it has completed or was cancelled; {StepNotFoundError}.
 */
export async function patchStep(
  tx: Transaction,
  input: PatchStepInput,
  ports: CommandPorts,
): Promise<{ run: RunRow; before: StepRow }> {
  const { runId, stepId } = input;
  const run = await existing(tx, runId, ports);
  const step = await tx.get(steps, [runId, stepId]);
  if (step === null) throw new StepNotFoundError(stepId, { runId });
  if (run.status === 'running' || run.status === 'completed' || run.status === 'cancelled') {
    const what =
      run.status === 'running'
        ? 'A worker is executing it, and may have used the output already. Pause it, and patch the step when it is paused.'
        : 'Nothing would read the output any more. Rerun it to have it executed again as a new run.';
    throw new RunStateError(`Step "${step.name}" cannot be patched: run ${runId} is ${run.status}. ${what}`, {
      runId,
      details: { runId, stepId, status: run.status },
    });
  }
  const redactor = await operatorRedactor(tx, run, ports);
  const output = redactor.json(input.output);
  const { actor, reason } = await redactedOperation(tx, run, input, ports);
  tx.update(steps, { ...step, status: 'completed', output, error: null, patchedAt: tx.now });
  tx.update(runs, { ...run, fence: isEnded(run) ? run.fence : run.fence + 1, updatedAt: tx.now });
  recordOperation(tx, run, {
    type: 'step.patched',
    stepId,
    actor,
    reason,
    payload: {
      status: step.status,
      ...(step.output !== null && { output: JSON.parse(step.output) as unknown }),
      ...(step.error !== null && { error: JSON.parse(step.error) as unknown }),
      newOutput: JSON.parse(output) as unknown,
    },
  });
  return { run, before: step };
}
