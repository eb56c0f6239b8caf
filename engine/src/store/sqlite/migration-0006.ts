/** What runs are about, by names that their functions declare. */
export const runAttributesSql: readonly string[] = [
  `CREATE TABLE "run_attributes" (
  "run_id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "env" TEXT NOT NULL,
  "value" TEXT NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("run_id", "name")
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX "run_attributes_by_value" ON "run_attributes" ("env", "name", "value", "run_id")`,
];
