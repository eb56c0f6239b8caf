/** A worker's line to an engine: brings jobs into the pool and carries their reports. */
export interface Transport {
  /** Runs until stopped. @throws when trying again cannot help: the key, or what is registered, is refused. */
  run(): Promise<void>;
  /** Takes no more jobs; those in the pool go on. */
  drain(): void;
  stop(): Promise<void>;
}
