/** Operations on runs: what pauses and restarts leave in their rows, and who did what. */
export const runOperationsSql: readonly string[] = [
  `ALTER TABLE "runs" ADD COLUMN "pause" TEXT`,
  `ALTER TABLE "runs" ADD COLUMN "restart" TEXT`,
  `ALTER TABLE "runs" ADD COLUMN "rerun_of" TEXT`,
  `ALTER TABLE "steps" ADD COLUMN "patched_at" INTEGER`,
  `CREATE TABLE "run_audit" (
  "run_id" TEXT NOT NULL,
  "id" TEXT NOT NULL,
  "env" TEXT NOT NULL,
  "function_id" TEXT NOT NULL,
  "step_id" TEXT,
  "type" TEXT NOT NULL,
  "actor" TEXT,
  "reason" TEXT,
  "payload" TEXT,
  "created_at" INTEGER NOT NULL,
  "expires_at" INTEGER,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("run_id", "id")
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX "run_audit_by_env" ON "run_audit" ("env", "id")`,
  `CREATE INDEX "run_audit_by_expiry" ON "run_audit" ("expires_at", "run_id", "id") WHERE "expires_at" IS NOT NULL`,
];
