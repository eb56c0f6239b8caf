/** Heartbeats are counted, so that one which comes late is known for what it is. */
export const beatsSql: readonly string[] = [`ALTER TABLE "sessions" ADD COLUMN "beat" bigint`];
