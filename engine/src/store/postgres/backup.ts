import { IronflowError } from '@ironflow/core';

/** Copies of a PostgreSQL database are made with PostgreSQL's own tools. */
export class BackupUnsupportedError extends IronflowError {
  override name = 'BackupUnsupportedError';
  constructor(where: string, schema: string) {
    super(
      `The database ${where} is backed up with PostgreSQL's own tools. Run: pg_dump --format=custom --schema=${schema} --file=ironflow.dump <the database's URL, without ?schema=>`,
      { code: 'NOT_CONFIGURED', retryable: false, details: { where, schema } },
    );
  }
}
