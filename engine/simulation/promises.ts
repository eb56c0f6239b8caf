// The twelve promises of the design, those that came after them, and where each is looked at. What waits for a primitive says for which.

export const promises: readonly { readonly number: number; readonly promise: string; readonly checked: string }[] = [
  {
    number: 1,
    promise: 'An acknowledged emit, append, put or publish survives any crash.',
    checked:
      'log-checks: acknowledged events are in the log once, at their id, with their runs; one idempotency key, one answer. topic-checks: a message is stored with its step, once. Appends to entity streams and puts wait for streams and KV. Power loss is the SQLite store’s own test.',
  },
  {
    number: 2,
    promise: 'A completed step is recorded once; its closure is never called again for that run.',
    checked:
      'checker: step rows are inserted once and never change, but for what an operator does and an audit entry tells of; starts: none after the step was acknowledged, unless a restart dropped it.',
  },
  {
    number: 3,
    promise: 'At most one lease holder can commit for a run.',
    checked:
      'checker: step and attempt rows carry the fence of their moment, a fence only grows, a lease changes hands only with a new fence and only to a session that is alive; the meddler: reports under wrong leases are refused.',
  },
  {
    number: 4,
    promise:
      'A closure starts again only after its lease ended or its worker reported failure; each start is an attempt row.',
    checked:
      'starts: every start seen from outside is covered by rows, and follows a lease that ended or a failure on record. One that must not run twice starts when that is on record, and again only after a failure or a decision.',
  },
  { number: 5, promise: 'A concurrency limit is never exceeded in stored state.', checked: 'Waits for limits.' },
  {
    number: 6,
    promise: 'A timer never fires early; a wait never misses a matching event, and resolves once.',
    checked:
      'wait-checks: by true time, less what clocks are allowed to be wrong; late ones are bounded once the storm is over.',
  },
  {
    number: 7,
    promise: 'Compensations run in reverse order, recorded once each.',
    checked:
      'saga-checks: each is recorded of a run that is to be undone, after those of later steps; at the end none is missing.',
  },
  {
    number: 8,
    promise: 'Streams are ordered for each entity; KV is linearizable for each key.',
    checked: 'Waits for streams and KV.',
  },
  {
    number: 9,
    promise: 'A reader of a log skips nothing and sees one order.',
    checked:
      'log-checks: positions are dense and in commit order; a reader follows the head through the storm. Projections wait.',
  },
  {
    number: 10,
    promise: 'No run is ever without a wake-up source; a run reaches exactly one terminal state.',
    checked:
      'checker: at every commit and at the end; an end is seen by callers as it stays. No rows without their run.',
  },
  {
    number: 11,
    promise: 'Bad input never crashes a process and never half-applies.',
    checked:
      'the meddler: reports that nobody may send are refused; the mirror of what was committed equals the store at the end, so that nothing of a refused write set is there. Parsing is tested over HTTP.',
  },
  {
    number: 12,
    promise: 'A rolling upgrade, and a restore from backup, keep all of the above.',
    checked:
      'simulate: functions are registered with new code in the middle; a run keeps its version, and ends as ever. Backups, restores and upgrades from each stored version are tested on both stores (behaviour/operations.test.ts).',
  },
  {
    number: 13,
    promise: 'What a recorded run does is in its audit trail from the same commit on, for its retention.',
    checked:
      'trail-checks: every write set against the entries in it; entries leave when their time is over, and neither before nor long after; one engine’s trail is in the order of its commits where its clock stays right.',
  },
  {
    number: 14,
    promise: 'The value of a secret is stored nowhere, whoever hands it in.',
    checked:
      'checker: no column of a row that is stored has it, whatever steps, errors, messages, patches and decisions hand out, also after it was changed.',
  },
  {
    number: 15,
    promise: 'A run that is ready does not wait while a worker that may execute it has room.',
    checked:
      'queue-checks: once the storm is over, and in a rush of more runs than there is room for, every queued run against the workers that are alive.',
  },
  {
    number: 16,
    promise: 'A run has the attributes of the event that started it from its start to its end, and is found by them.',
    checked:
      'attribute-checks: every run that starts against the rows in its commit; none changes, none comes later, they leave with their run. What a listing finds by them is tested over every store (commands/run-attributes.test.ts).',
  },
];
