/** Operations on runs: what pauses and restarts leave in their rows, and who did what. */
export const runOperationsSql: readonly string[] = [
  `ALTER TABLE "runs" ADD COLUMN "pause" text COLLATE "C"`,
  `ALTER TABLE "runs" ADD COLUMN "restart" text COLLATE "C"`,
  `ALTER TABLE "runs" ADD COLUMN "rerun_of" text COLLATE "C"`,
  `ALTER TABLE "steps" ADD COLUMN "patched_at" bigint`,
  `CREATE TABLE "run_audit" (
  "run_id" text COLLATE "C" NOT NULL,
  "id" text COLLATE "C" NOT NULL,
  "env" text COLLATE "C" NOT NULL,
  "function_id" text COLLATE "C" NOT NULL,
  "step_id" text COLLATE "C",
  "type" text COLLATE "C" NOT NULL,
  "actor" text COLLATE "C",
  "reason" text COLLATE "C",
  "payload" text COLLATE "C",
  "created_at" bigint NOT NULL,
  "expires_at" bigint,
  "revision" bigint NOT NULL,
  PRIMARY KEY ("run_id", "id")
)`,
  `CREATE INDEX "run_audit_by_env" ON "run_audit" ("env", "id")`,
  `CREATE INDEX "run_audit_by_expiry" ON "run_audit" ("expires_at", "run_id", "id") WHERE "expires_at" IS NOT NULL`,
];
