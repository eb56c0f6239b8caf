import type { ValidationIssue } from './errors.ts';
import { isRetryable, NonRetryableError, SchemaValidationError } from './errors.ts';

/**
 * The part of Standard Schema (standardschema.dev, version 1) that a `schema` needs: zod, valibot, arktype and others
 * implement it.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type SchemaInput<S> = S extends StandardSchema<infer Input, infer _Output> ? Input : never;
export type SchemaOutput<S> = S extends StandardSchema<infer _Input, infer Output> ? Output : never;

export function isStandardSchema(value: unknown): value is StandardSchema {
  const standard = (value as Partial<StandardSchema> | null | undefined)?.['~standard'];
  return typeof standard?.validate === 'function';
}

/**
 * The data as a schema gives it.
 * @param whose - `function "f"`, for messages.
 * @throws {SchemaValidationError} naming each path at fault; {NonRetryableError} when the schema itself throws.
 */
export async function checkedBy(schema: StandardSchema, data: unknown, whose: string): Promise<unknown> {
  let result: SchemaResult<unknown>;
  try {
    result = await schema['~standard'].validate(data);
  } catch (error) {
    if (isRetryable(error)) throw error;
    throw new NonRetryableError(`The schema of ${whose} could not be applied: ${String(error)}`, { cause: error });
  }
  if (result.issues === undefined) return result.value;
  const validationErrors = result.issues.map(
    (issue): ValidationIssue => ({ path: pathOf(issue), message: issue.message }),
  );
  const list = validationErrors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  throw new SchemaValidationError(`The event's data does not fit the schema of ${whose}: ${list}`, {
    validationErrors,
  });
}

function pathOf({ path = [] }: SchemaIssue): string {
  return path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
}
