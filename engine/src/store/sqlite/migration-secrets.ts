/** Values of secrets. */
export const secretsSql: readonly string[] = [
  `CREATE TABLE "secrets" (
  "env" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "number" INTEGER NOT NULL,
  "key_id" TEXT NOT NULL,
  "sealed" TEXT NOT NULL,
  "created_at" INTEGER NOT NULL,
  "retired_at" INTEGER,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env", "name", "number")
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX "secrets_by_retirement" ON "secrets" ("retired_at", "env", "name", "number") WHERE "retired_at" IS NOT NULL`,
];
