import type { IronflowError } from '@ironflow/core';

/** Exit codes that scripts can rely on. */
export const exitCodes = { usage: 2, portInUse: 3, dataLocked: 4, dataNewer: 5, storeUnavailable: 6 } as const;

const EXIT_OF_CODE: Readonly<Record<string, number>> = {
  VALIDATION_ERROR: exitCodes.usage,
  NOT_CONFIGURED: exitCodes.usage,
  UNAUTHORIZED: exitCodes.usage,
  PORT_IN_USE: exitCodes.portInUse,
  STORE_LOCKED: exitCodes.dataLocked,
  STORE_NEWER: exitCodes.dataNewer,
  UNAVAILABLE: exitCodes.storeUnavailable,
};

export const exitCodeOf = ({ code }: IronflowError): number => EXIT_OF_CODE[code] ?? 1;
