/** What steps of 0.8 added: compensations, messages, what waits match with. Never changed once released: what comes later is another migration. */
export const stepsSql: readonly string[] = [
  `ALTER TABLE "runs" ADD COLUMN "ending" TEXT`,
  `ALTER TABLE "steps" ADD COLUMN "position" INTEGER`,
  `ALTER TABLE "steps" ADD COLUMN "session_id" TEXT`,
  `ALTER TABLE "waits" ADD COLUMN "match_expression" TEXT`,
  `ALTER TABLE "waits" ADD COLUMN "any_of" TEXT`,
  `ALTER TABLE "waits" ADD COLUMN "child_stays" INTEGER`,
  `CREATE TABLE "topic_messages" (
  "env" TEXT NOT NULL,
  "topic" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  "id" TEXT NOT NULL,
  "data" TEXT NOT NULL,
  "run_id" TEXT,
  "created_at" INTEGER NOT NULL,
  PRIMARY KEY ("env", "topic", "position")
) STRICT, WITHOUT ROWID`,
  `CREATE UNIQUE INDEX "topic_messages_by_id" ON "topic_messages" ("id")`,
];
