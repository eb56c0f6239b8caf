export * from './client.ts';
export * from './function.ts';
export * from './job.ts';
export * from './job-json.ts';
export * from './local-engine.ts';
export * from './parse.ts';
export * from './secret.ts';
export * from './worker.ts';
