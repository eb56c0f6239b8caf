// Who sends a report, as far as that decides what is made of it.

import type { WaitRequest } from '@ironflow/core/wire';

/** What a reporter's contract allows. */
export interface Reporter {
  /** A failed step is retried by itself; otherwise the run is, and a failed step stays open. */
  readonly retriesSteps: boolean;
  /** Its function can be told that such a wait has failed; otherwise the run fails. */
  readonly failable: (kind: WaitRequest['kind']) => boolean;
  /** It reads the answer and goes on in place; otherwise it must come again for what it has not seen. */
  readonly goesOn: boolean;
}

/** A worker of the published SDK. */
export const contractWorker: Reporter = { retriesSteps: false, failable: () => false, goesOn: false };
/** A push endpoint of the published SDK: it can be told of a failed child, and of nothing else. */
export const contractPush: Reporter = { retriesSteps: false, failable: (kind) => kind === 'invoke', goesOn: false };
/** Our worker, and our push endpoint while its request is open. */
export const ironflowWorker: Reporter = { retriesSteps: true, failable: () => true, goesOn: true };
/** The last word of our push endpoint, in its response. */
export const ironflowResponse: Reporter = { retriesSteps: true, failable: () => true, goesOn: false };
