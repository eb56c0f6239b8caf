import { IronflowError } from '@ironflow/core';

/** Another engine uses this data directory. */
export class StoreLockedError extends IronflowError {
  override name = 'StoreLockedError';
  constructor(where: string, cause?: unknown) {
    super(
      `The data directory ${where} is in use by another Ironflow engine. Stop that engine, or start this one with another --data directory.`,
      { code: 'STORE_LOCKED', details: { where }, cause },
    );
  }
}

/** The database was written by a newer Ironflow than this one. */
export class StoreNewerError extends IronflowError {
  override name = 'StoreNewerError';
  constructor(where: string, found: number, known: number) {
    super(
      `The database ${where} has schema version ${found}; this Ironflow knows versions up to ${known}. ` +
        'Start the newer Ironflow that wrote it, or restore a backup made before the upgrade.',
      { code: 'STORE_NEWER', details: { where, found, known } },
    );
  }
}

/** The database cannot be reached or refuses to work at the moment. What was being committed may or may not be stored. */
export class StoreUnavailableError extends IronflowError {
  override name = 'StoreUnavailableError';
  /** @param lasting - Whether trying again cannot help: the credentials are wrong, a right is missing. */
  constructor(message: string, cause?: unknown, lasting = false) {
    super(message, { code: 'UNAVAILABLE', cause, ...(lasting && { retryable: false }) });
  }
}
