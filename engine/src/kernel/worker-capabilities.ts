import { capabilities, streamCapabilities } from '@ironflow/core/wire';
import type { SessionRow, SessionTransport } from '../store/tables.ts';

/** Whether a worker speaks all of our extensions. */
export function isConversational(transport: SessionTransport, announced: readonly string[]): boolean {
  const needed = transport === 'streaming' ? streamCapabilities : capabilities;
  return transport === 'in-process' || needed.every((name) => announced.includes(name));
}

/** Whether a worker can be told that a run is to be undone. Of an endpoint that is known only once it has answered. */
export function mayUndo({ transport, capabilities: announced }: SessionRow): boolean {
  return transport === 'push' || isConversational(transport, JSON.parse(announced) as string[]); // as registerSession stored it
}
