import { IronflowError } from '@ironflow/core';

/** A command met conflict after conflict. Others make progress on the same rows meanwhile; calling again is safe. */
export class ConflictError extends IronflowError {
  override name = 'ConflictError';
  constructor(command: string, attempts: number) {
    super(`The command ${command} was given up after ${attempts} conflicts with others on the same rows. Call again.`, {
      code: 'CONFLICT',
    });
  }
}
