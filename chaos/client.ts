// A client that emits orders and what they wait for, each until it is told that it worked, and remembers all that it was told.

import { createClient, type IronflowClient, isRetryable } from '@ironflow/node';

export interface Acknowledged {
  readonly n: number;
  readonly eventId: string;
  readonly runIds: readonly string[];
}

export class ChaosClient {
  readonly acknowledged: Acknowledged[] = [];
  /** Runs that were seen to have ended, with what was seen: it may never change. */
  readonly seenEnded = new Map<string, string>();
  readonly broken: string[] = [];
  readonly #clients: readonly IronflowClient[];
  readonly #open = new Set<Promise<void>>();
  #stopped = false;
  #next = 0;
  calls = 0;
  failedCalls = 0;

  constructor(urls: readonly string[]) {
    this.#clients = urls.map((serverUrl) => createClient({ serverUrl, timeout: 5_000 }));
  }

  /** Sends orders so that about `inFlight` are under way at a time, until `stop`. */
  start(inFlight: number): void {
    for (let i = 0; i < inFlight; i++) this.#keep(this.#ordersOneByOne());
    this.#keep(this.#lookAtRandomRuns());
  }

  /** No more orders; those under way are seen through. */
  async stop(): Promise<void> {
    this.#stopped = true;
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  /** The call on some engine, again until it is answered. */
  async surely<T>(call: (client: IronflowClient) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        this.calls++;
        return await call(this.#anyClient());
      } catch (error) {
        this.failedCalls++;
        if (!isRetryable(error)) throw error;
        await pause(20 + Math.random() * 200);
      }
    }
  }

  async #ordersOneByOne(): Promise<void> {
    while (!this.#stopped) {
      const n = ++this.#next;
      const approved = Math.random() < 0.5 ? this.#approve(n, 300) : undefined;
      const { eventId, runIds } = await this.surely((client) =>
        client.emit('chaos.order', { n }, { idempotencyKey: `order ${n}` }),
      );
      this.acknowledged.push({ n, eventId, runIds });
      if (runIds.length !== 1)
        this.broken.push(`An order starts its run once: order ${n} has runs ${runIds.join(', ')}.`);
      await (approved ?? this.#approve(n, 1_500));
      const [runId = ''] = runIds;
      await this.#seenThrough(runId, n);
    }
  }

  /** Approvals may come before the run is there; then another one follows. */
  async #approve(n: number, ms: number): Promise<void> {
    await pause(Math.random() * ms);
    const emit = (round: number) =>
      this.surely((client) =>
        client.emit('chaos.approval', { n, round }, { idempotencyKey: `approval ${n} ${round}` }),
      );
    await emit(1);
    await pause(100);
    // Looked for from the run's start on: this one comes after the order was acknowledged.
    while (!this.acknowledged.some((order) => order.n === n)) await pause(20);
    await emit(2);
  }

  async #seenThrough(runId: string, n: number): Promise<void> {
    for (;;) {
      const run = await this.surely((client) => client.waitForRun(runId, { timeout: 4_000 }));
      if (run.endedAt === undefined) continue;
      this.#sawEnd(runId, JSON.stringify([run.status, run.output]), n);
      return;
    }
  }

  async #lookAtRandomRuns(): Promise<void> {
    while (!this.#stopped) {
      await pause(20);
      const some = this.acknowledged[Math.floor(Math.random() * this.acknowledged.length)];
      const [runId] = some?.runIds ?? [];
      if (some === undefined || runId === undefined) continue;
      const run = await this.surely((client) => client.getRun(runId)).catch((error: unknown) => {
        this.broken.push(`An acknowledged run can be read: ${runId}: ${String(error)}`);
        return undefined;
      });
      if (run?.endedAt !== undefined) this.#sawEnd(runId, JSON.stringify([run.status, run.output]), some.n);
      else if (run !== undefined && this.seenEnded.has(runId))
        this.broken.push(`A run that has ended stays so: ${runId} was seen ended and then ${run.status}.`);
    }
  }

  #sawEnd(runId: string, end: string, n: number): void {
    const before = this.seenEnded.get(runId);
    if (before !== undefined && before !== end)
      this.broken.push(`A run ends once: order ${n} was seen as ${before} and as ${end}.`);
    this.seenEnded.set(runId, end);
  }

  #anyClient(): IronflowClient {
    const client = this.#clients[Math.floor(Math.random() * this.#clients.length)];
    if (client === undefined) throw new TypeError('there is no engine to call');
    return client;
  }

  #keep(work: Promise<void>): void {
    const kept = work.finally(() => this.#open.delete(kept));
    this.#open.add(kept);
  }
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
