// What must hold of the steps of a run.

import type { StepRow } from '../store/tables.ts';
import { type Finding, isJson } from './finding.ts';
import { nameOf, patch, type RunPicture, stepName } from './run-picture.ts';

export function examineSteps({ run, steps: done }: RunPicture): Finding[] {
  const found: Finding[] = [];
  const places = new Map<string, StepRow>();
  for (const step of done) {
    const rows = [stepName(step)];
    if ((step.status === 'completed') === (step.error !== null)) {
      found.push({
        check: 'step-without-result',
        rows,
        message: `The step is ${step.status} and has ${step.error === null ? 'no error' : 'an error'}: a replay would not know what to return.`,
      });
    }
    for (const [column, text] of [
      ['output', step.output],
      ['error', step.error],
    ] as const) {
      if (text !== null && !isJson(text))
        found.push({
          check: 'unreadable-json',
          rows,
          message: `Its ${column} is not JSON: its run cannot be replayed.`,
        });
    }
    if (step.fence > run.fence) {
      found.push({
        check: 'step-beyond-fence',
        rows: [...rows, nameOf(run)],
        message: `It was recorded under lease ${step.fence}, and the run has had ${run.fence}: the fence has gone back.`,
        repair: 'put the fence forward',
        apply: patch(run, ({ fence }) => ({ fence: Math.max(fence, step.fence) })),
      });
    }
    const place = `${step.wake} ${step.sequence}`;
    const other = places.get(place);
    if (other !== undefined && step.fence > 0 && other.fence === step.fence) {
      found.push({
        check: 'steps-in-one-place',
        rows: [stepName(other), ...rows],
        message: 'Two steps have the same place in the order in which results reached the function.',
      });
    }
    places.set(place, step);
  }
  return found;
}
