/** Values of secrets. */
export const secretsSql: readonly string[] = [
  `CREATE TABLE "secrets" (
  "env" text COLLATE "C" NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "number" bigint NOT NULL,
  "key_id" text COLLATE "C" NOT NULL,
  "sealed" text COLLATE "C" NOT NULL,
  "created_at" bigint NOT NULL,
  "retired_at" bigint,
  "revision" bigint NOT NULL,
  PRIMARY KEY ("env", "name", "number")
)`,
  `CREATE INDEX "secrets_by_retirement" ON "secrets" ("retired_at", "env", "name", "number") WHERE "retired_at" IS NOT NULL`,
];
