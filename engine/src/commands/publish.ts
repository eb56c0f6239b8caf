// Messages of topics. A topic is there once a message has been published to it; messages start no runs.

import { encodeJson, invariant, type JsonText } from '@ironflow/core';
import type { Transaction } from '../group-commit/index.ts';
import { idempotencyKeys, topicMessages } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';

export interface PublishInput {
  readonly env: string;
  readonly topic: string;
  readonly data: JsonText;
  readonly idempotencyKey: string | null;
  /** The run that publishes, if one does. */
  readonly runId: string | null;
}

export interface PublishResult {
  readonly eventId: string;
  /** The message's number in its topic, from 1 and without gaps. */
  readonly sequence: number;
}

/** Appends a message to its topic, once for each idempotency key. The result is complete once the commit is durable. */
export async function publish(tx: Transaction, input: PublishInput, ports: CommandPorts): Promise<PublishResult> {
  const { env, topic, idempotencyKey } = input;
  const key = [env, `publish ${topic}`, idempotencyKey ?? ''] as const;
  const earlier = idempotencyKey === null ? null : await tx.get(idempotencyKeys, key);
  if (earlier !== null && earlier.expiresAt > tx.now) {
    const eventId = JSON.parse(earlier.outcome) as string; // as stored below
    const [message] = await tx.scan({ table: topicMessages, index: 'byId', prefix: [eventId], limit: 1 });
    if (message !== undefined) return { eventId, sequence: message.position };
  }
  const { eventId, append } = appendMessage(tx, input);
  if (idempotencyKey !== null) {
    const outcome = encodeJson(eventId, 'outcome of a publish');
    const expiresAt = tx.now + ports.settings.idempotencyRetentionMs;
    const row = { env, scope: key[1], key: idempotencyKey, outcome, expiresAt };
    if (earlier === null) tx.insert(idempotencyKeys, row);
    else tx.update(idempotencyKeys, row);
    tx.afterCommit(() => ports.outside.keyExpiresAt(expiresAt));
  }
  const result = { eventId, sequence: 0 };
  tx.afterCommit((positions) => {
    result.sequence = positionOf(positions, append);
  });
  return result;
}

/** @returns the message's id, and which of the transaction's appends it is. */
export function appendMessage(
  tx: Transaction,
  { env, topic, data, runId }: Omit<PublishInput, 'idempotencyKey'>,
): { readonly eventId: string; readonly append: number } {
  const eventId = tx.newId('msg');
  return { eventId, append: tx.append(topicMessages, { env, topic, id: eventId, data, runId, createdAt: tx.now }) };
}

export function positionOf(positions: readonly number[], append: number): number {
  const position = positions[append];
  invariant(position !== undefined, 'an appended message has a position');
  return position;
}
