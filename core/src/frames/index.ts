/** What passes on a worker's stream, beyond the contract's own messages. */
export { END_OF_STREAM, type Envelope, EnvelopeReader, enveloped } from './envelope.ts';
export {
  type EngineFrame,
  EngineFrameWriter,
  readEngineFrame,
  readWorkerFrame,
  type WorkerFrame,
  WorkerFrameWriter,
  type WorkerPresence,
} from './frames.ts';
export { type Registered, readRegistered, registerMessage } from './registration.ts';
export type { NumberedAnswer, NumberedReport } from './reports.ts';
