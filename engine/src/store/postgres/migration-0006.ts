/** What runs are about, by names that their functions declare. */
export const runAttributesSql: readonly string[] = [
  `CREATE TABLE "run_attributes" (
  "run_id" text COLLATE "C" NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "env" text COLLATE "C" NOT NULL,
  "value" text COLLATE "C" NOT NULL,
  "revision" bigint NOT NULL,
  PRIMARY KEY ("run_id", "name")
)`,
  `CREATE INDEX "run_attributes_by_value" ON "run_attributes" ("env", "name", "value", "run_id")`,
];
