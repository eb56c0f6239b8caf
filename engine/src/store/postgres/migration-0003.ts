/** What compensations added. Never changed once released: what comes later is another migration. */
export const stepsSql: readonly string[] = [`ALTER TABLE "runs" ADD COLUMN "ending" text COLLATE "C"`];
