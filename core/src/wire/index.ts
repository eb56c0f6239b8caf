export * from './answer-json.ts';
export * from './assignment-json.ts';
export * from './client.ts';
export * from './contract-json.ts';
export * from './function.ts';
export * from './job.ts';
export * from './local-engine.ts';
export { resolutionFromJson, resolutionToJson } from './memo-json.ts';
export * from './parse.ts';
export { payloadFromText } from './parts-json.ts';
export {
  invokeTimeoutMsDefault,
  OUTPUT_OF_RUN,
  recordFromJson,
  recordToJson,
  reportBatchSchema,
  reportFromJson,
  reportRestFromJson,
  reportRestToJson,
  reportToJson,
  waitTimeoutMsDefault,
} from './report-json.ts';
export * from './secret.ts';
export * from './worker.ts';
