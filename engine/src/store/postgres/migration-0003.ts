/** What steps of 0.8 added: compensations, messages, what waits match with. Never changed once released: what comes later is another migration. */
export const stepsSql: readonly string[] = [
  `ALTER TABLE "runs" ADD COLUMN "ending" text COLLATE "C"`,
  `ALTER TABLE "steps" ADD COLUMN "position" bigint`,
  `ALTER TABLE "steps" ADD COLUMN "session_id" text COLLATE "C"`,
  `ALTER TABLE "waits" ADD COLUMN "match_expression" text COLLATE "C"`,
  `ALTER TABLE "waits" ADD COLUMN "any_of" text COLLATE "C"`,
  `ALTER TABLE "waits" ADD COLUMN "child_stays" boolean`,
  `CREATE TABLE "topic_messages" (
  "env" text COLLATE "C" NOT NULL,
  "topic" text COLLATE "C" NOT NULL,
  "position" bigint NOT NULL,
  "id" text COLLATE "C" NOT NULL,
  "data" text COLLATE "C" NOT NULL,
  "run_id" text COLLATE "C",
  "created_at" bigint NOT NULL,
  PRIMARY KEY ("env", "topic", "position")
)`,
  `CREATE UNIQUE INDEX "topic_messages_by_id" ON "topic_messages" ("id")`,
];
