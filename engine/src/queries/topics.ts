import type { Store } from '../store/port.ts';
import { topicMessages } from '../store/tables.ts';

export interface TopicView {
  readonly name: string;
  readonly messageCount: number;
  /** 0: subscriptions come in a later version. */
  readonly consumerCount: number;
  readonly firstMessageAt: string;
  readonly lastMessageAt: string;
}

export interface TopicStats {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
  /** Messages that no consumer has taken: all, as there are none. */
  readonly lag: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** Topics of an environment by name: those that something was published to. Costs a few reads for each, however many messages it has. */
export async function listTopics(store: Store, env: string): Promise<TopicView[]> {
  const topics: TopicView[] = [];
  for (let after: readonly (string | number)[] = ['', Number.MAX_SAFE_INTEGER]; ; ) {
    const [first] = await store.scan({ table: topicMessages, prefix: [env], after, limit: 1 });
    if (first === undefined) return topics;
    const name = first.row.topic;
    after = [name, Number.MAX_SAFE_INTEGER];
    const ends = await endsOf(store, env, name);
    if (ends === undefined) continue;
    topics.push({
      name,
      messageCount: countOf(ends),
      consumerCount: 0,
      firstMessageAt: new Date(ends.first.createdAt).toISOString(),
      lastMessageAt: new Date(ends.last.createdAt).toISOString(),
    });
  }
}

/** A topic that nothing was published to has no messages. */
export async function getTopicStats(store: Store, env: string, name: string): Promise<TopicStats> {
  const ends = await endsOf(store, env, name);
  const messageCount = ends === undefined ? 0 : countOf(ends);
  return {
    name,
    messageCount,
    consumerCount: 0,
    lag: messageCount,
    firstSeq: ends?.first.position ?? 0,
    lastSeq: ends?.last.position ?? 0,
  };
}

interface Ends {
  readonly first: { readonly position: number; readonly createdAt: number };
  readonly last: { readonly position: number; readonly createdAt: number };
}

async function endsOf(store: Store, env: string, name: string): Promise<Ends | undefined> {
  const range = { table: topicMessages, prefix: [env, name], limit: 1 };
  const [[first], [last]] = await Promise.all([store.scan(range), store.scan({ ...range, direction: 'backward' })]);
  return first === undefined || last === undefined ? undefined : { first: first.row, last: last.row };
}

/** Sequences have no gaps. */
const countOf = ({ first, last }: Ends) => last.position - first.position + 1;
