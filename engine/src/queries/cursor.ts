import { ValidationError } from '@ironflow/core';

export const cursorOf = (id: string) => Buffer.from(id).toString('base64url');

/** The id that a cursor stands for. @throws {ValidationError} when it was not made by such a listing. */
export function cursorFrom(cursor: string, prefix: string): string {
  const id = Buffer.from(cursor, 'base64url').toString();
  if (new RegExp(`^${prefix}_[0-9a-z]+$`).test(id)) return id;
  throw new ValidationError('The cursor was not made by this listing. Pass on the nextCursor of the page before.', {
    validationErrors: [{ path: 'cursor', message: 'is not a cursor' }],
  });
}
