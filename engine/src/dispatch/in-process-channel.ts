import type { Assignment, JobHandlers, Resolution } from '@ironflow/core/wire';
import type { WorkerChannel } from './channel.ts';
import { JobRoom } from './job-room.ts';

export interface InProcessChannelOptions {
  readonly sessionId: string;
  readonly env: string;
  readonly functions: ReadonlyMap<string, number | null>;
  readonly jobsMax: number;
  readonly handlers: JobHandlers;
  readonly roomChanged: (channel: InProcessChannel) => void;
}

/** A worker in the engine's own process: jobs and news are handed over by a call. */
export class InProcessChannel implements WorkerChannel {
  readonly sessionId: string;
  readonly env: string;
  readonly functions: ReadonlyMap<string, number | null>;
  readonly #room: JobRoom;
  readonly #options: InProcessChannelOptions;
  #draining = false;

  constructor(options: InProcessChannelOptions) {
    this.#options = options;
    this.sessionId = options.sessionId;
    this.env = options.env;
    this.functions = options.functions;
    this.#room = new JobRoom(options.jobsMax);
  }

  get room(): number {
    return this.#draining ? 0 : this.#room.free;
  }

  heldJobs(): string[] {
    return this.#room.held();
  }

  take(jobs: number): void {
    this.#room.take(jobs);
  }

  giveBack(jobs: number): void {
    this.#room.giveBack(jobs);
  }

  assign(assignment: Assignment): void {
    this.#room.assign(assignment.jobId);
    this.#options.handlers.assigned(assignment);
  }

  resolve(jobId: string, resolution: Resolution): void {
    this.#options.handlers.resolved(jobId, resolution);
  }

  revoke(jobId: string, code: string, message: string): void {
    this.#options.handlers.revoked(jobId, code, message);
    this.ended(jobId);
  }

  ended(jobId: string): void {
    this.#room.ended(jobId);
    this.#options.roomChanged(this);
  }

  /** Takes no more jobs. */
  drain(): void {
    this.#draining = true;
  }
}
