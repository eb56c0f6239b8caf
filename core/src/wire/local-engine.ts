import type { Assignment, JobOffer, Report, ReportAnswer, Resolution, WorkerHello } from './job.ts';

/** What a worker in the engine's own process is called with. */
export interface JobHandlers {
  assigned(offer: JobOffer): void;
  resolved(jobId: string, resolution: Resolution): void;
  revoked(jobId: string, code: string, message: string): void;
}

/** A worker's line to an engine. */
export interface WorkerLine {
  /** How long the leases stand after a renewal, in milliseconds. */
  readonly leaseMs: number;
  /** Renews them; jobs that were lost have been revoked when it resolves. False when the session has ended. */
  renew(): Promise<boolean>;
  report(report: Report): Promise<ReportAnswer>;
  /** All of a job that came as a continuation. Undefined when its lease is over. */
  whole(jobId: string): Promise<Assignment | undefined>;
  /** Takes no more jobs. */
  drain(): void;
  /** Ends the session; jobs it still holds go to others. */
  close(): Promise<void>;
}

/**
 * An engine in this process, as `createEngine()` of `@ironflow/engine` makes it. Given to `createWorker` and `createClient`
 * in place of a server's address, it serves them with no network between.
 */
export interface LocalEngine {
  registerFunction(environment: string, registration: unknown): Promise<{ readonly version: number }>;
  connectWorker(environment: string, hello: WorkerHello, handlers: JobHandlers): Promise<WorkerLine>;
  /** Answers an HTTP request as the engine's port would. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
}
