import type { IronflowError } from '@ironflow/core';

/** Exit codes that scripts can rely on. */
export const exitCodes = {
  usage: 2,
  portInUse: 3,
  dataLocked: 4,
  dataNewer: 5,
  /** The store, or the engine that is called, does not answer. */
  unavailable: 6,
  notFound: 7,
  /** What is asked of a run is not for its status. */
  refused: 8,
} as const;

const EXIT_OF_CODE: Readonly<Record<string, number>> = {
  VALIDATION_ERROR: exitCodes.usage,
  NOT_CONFIGURED: exitCodes.usage,
  UNAUTHORIZED: exitCodes.usage,
  PORT_IN_USE: exitCodes.portInUse,
  STORE_LOCKED: exitCodes.dataLocked,
  STORE_NEWER: exitCodes.dataNewer,
  UNAUTHENTICATED: exitCodes.usage,
  UNAVAILABLE: exitCodes.unavailable,
  CONNECTION_LOST: exitCodes.unavailable,
  TIMEOUT: exitCodes.unavailable,
  RUN_NOT_FOUND: exitCodes.notFound,
  STEP_NOT_FOUND: exitCodes.notFound,
  FUNCTION_NOT_FOUND: exitCodes.notFound,
  RUN_STATE: exitCodes.refused,
};

export const exitCodeOf = ({ code }: IronflowError): number => EXIT_OF_CODE[code] ?? 1;
