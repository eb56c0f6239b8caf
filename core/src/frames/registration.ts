// The two messages before the frames: the contract's own, with what our worker and our engine add.

import type { WorkerHello } from '../wire/job.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

const REGISTER = 1;
const REGISTERED = 1;

/** A `WorkerMessage` that registers a worker. */
export function registerMessage(hello: WorkerHello): Uint8Array {
  const to = new ByteWriter();
  const message = to.begin(REGISTER);
  to.text(1, hello.workerId);
  to.text(2, hello.hostname);
  for (const id of hello.functionIds) to.item(3, id);
  to.uint(4, hello.jobsMax);
  for (const [name, value] of Object.entries(hello.labels)) {
    const label = to.begin(5);
    to.text(1, name);
    to.text(2, value);
    to.end(label);
  }
  const version = to.begin(6);
  to.text(1, hello.version.sdk);
  to.text(2, hello.version.runtime);
  to.end(version);
  for (const name of hello.capabilities) to.item(16, name);
  for (const [id, number] of Object.entries(hello.functionVersions)) {
    const entry = to.begin(17);
    to.text(1, id);
    to.uint(2, number);
    to.end(entry);
  }
  if (hello.executionsKept !== undefined) to.uint(18, hello.executionsKept);
  to.end(message);
  return to.take();
}

export interface Registered {
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  readonly capabilities: readonly string[];
}

/** @returns undefined for an `EngineMessage` that says something else. @throws {ValidationError} */
export function readRegistered(message: Uint8Array): Registered | undefined {
  const outer = new ByteReader(message);
  let registered: Registered | undefined;
  while (outer.next()) {
    if (outer.field !== REGISTERED) continue;
    const from = outer.message();
    const names: string[] = [];
    let heartbeatMs = 0;
    let leaseMs = 0;
    while (from.next()) {
      if (from.field === 2) heartbeatMs = from.uint();
      else if (from.field === 16) names.push(from.text());
      else if (from.field === 17) leaseMs = from.uint();
    }
    registered = { heartbeatMs, leaseMs, capabilities: names };
  }
  return registered;
}
