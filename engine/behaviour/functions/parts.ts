import type {
  EventDefinitionRegistry,
  FunctionConfig,
  FunctionHandler,
  IronflowClient,
  IronflowFunction,
  Run,
} from '../../../src/index.ts';

/** What workers and endpoints are configured with alike. */
export interface ProvideOptions {
  readonly eventDefinitions?: EventDefinitionRegistry | undefined;
  /** Of a worker; an endpoint has the engine's default. */
  readonly maxConcurrentJobs?: number | undefined;
}

/** What the tests of functions do with the transport under test. */
export interface BehaviourParts {
  readonly client: () => IronflowClient;
  /** An id for a function; no two are alike, so that tests do not meet. */
  readonly nextId: () => string;
  /** A function with an id of its own, started by its own event, `start.<id>`. */
  readonly define: (handler: FunctionHandler, config?: Partial<FunctionConfig>) => IronflowFunction;
  /** Makes functions available to the engine. */
  readonly provide: (functions: readonly IronflowFunction[], options?: ProvideOptions) => Promise<void>;
  readonly setSecret: (name: string, value: string) => Promise<void>;
  /** Emits the event of a function, and has the id of its run. */
  readonly start: (fn: IronflowFunction, data?: unknown) => Promise<string>;
  /** The run once it has ended. */
  readonly finish: (runId: string) => Promise<Run>;
  /** Provides, starts, and waits for the end. */
  readonly execute: (fn: IronflowFunction, data?: unknown) => Promise<Run>;
}

/** A retry policy that no test has to wait for. */
export const fast = { maxAttempts: 3, initialDelayMs: 5, backoffFactor: 1 } as const;
