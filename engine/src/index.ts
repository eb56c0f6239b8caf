// @ironflow/engine: the engine inside your own process. The program `ironflow` is in cli/.

export { Engine, type EngineSettings } from './engine.ts';
export {
  type CreateEngineOptions,
  createEngine,
  type EmbeddedEngine,
  type ListenOptions,
  type StoreOptions,
} from './main.ts';
export type { Logger } from './ports/logger.ts';
export { StoreLockedError, StoreNewerError, StoreUnavailableError } from './store/errors.ts';
