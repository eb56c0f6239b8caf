// News: hints between the engines that share a store. What comes up in one turn goes in one notification.
//
//   N1. A hint may be lost, late or doubled: whoever gets one looks at the store. What no hint told of is found by the slow look
//       of every engine.
//   N2. Nothing is sent while no other engine is alive.

import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/port.ts';

export type LoopName = 'timers' | 'deadlines' | 'expiry' | 'purge';

export type NewsItem =
  /** A run of this function version is queued. */
  | readonly ['queued', env: string, functionId: string, version: number]
  /** Something of this loop is due at this time. */
  | readonly ['due', loop: LoopName, at: number]
  /** A wait of a run that a session holds was met. */
  | readonly ['resolved', sessionId: string, runId: string]
  /** A session holds this job no more. */
  | readonly ['job-ended', sessionId: string, jobId: string]
  | readonly ['job-revoked', sessionId: string, jobId: string, code: string, message: string]
  | readonly ['run-ended', runId: string]
  | readonly ['functions', env: string]
  /** A session is served by the sender now. */
  | readonly ['session', sessionId: string]
  /** A session has said good-bye: its end is no silence. */
  | readonly ['session-left', sessionId: string]
  /** An engine has come or gone. */
  | readonly ['engines'];

export interface NewsOptions {
  readonly engineId: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly isAlone: () => boolean;
  readonly heard: (item: NewsItem) => void;
}

const CHANNEL = 'news';
/** Characters in one notification: PostgreSQL takes just under 8,000 bytes. */
const LENGTH_MAX = 2_500;

export class News {
  readonly #options: NewsOptions;
  #pending = new Map<string, NewsItem>();
  #scheduled = false;
  #unwatch: (() => void) | undefined;

  constructor(options: NewsOptions) {
    this.#options = options;
  }

  start(): void {
    const { store, engineId, heard } = this.#options;
    this.#unwatch = store.watch(CHANNEL, (payload) => {
      const message = parse(payload);
      if (message === undefined || message.from === engineId) return;
      for (const item of message.items) heard(item);
    });
  }

  /** Tells the other engines. `always`: also when none is known. */
  tell(item: NewsItem, always = false): void {
    if (!always && this.#options.isAlone()) return;
    // Of one loop the soonest time says it all.
    const key = item[0] === 'due' ? `due ${item[1]}` : JSON.stringify(item);
    const known = this.#pending.get(key);
    if (known?.[0] === 'due' && item[0] === 'due' && known[2] <= item[2]) return;
    this.#pending.set(key, item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.clock.soon(() => this.#send());
  }

  close(): void {
    this.#send();
    this.#unwatch?.();
  }

  #send(): void {
    this.#scheduled = false;
    const items = [...this.#pending.values()];
    this.#pending = new Map();
    const { store, engineId } = this.#options;
    for (let texts: string[] = [], i = 0, length = 0; i < items.length; i++) {
      const text = JSON.stringify(items[i]);
      texts.push(text);
      length += text.length;
      const nextLength = i + 1 < items.length ? JSON.stringify(items[i + 1]).length : Number.POSITIVE_INFINITY;
      if (length + nextLength <= LENGTH_MAX) continue;
      store.notify(CHANNEL, `{"from":${JSON.stringify(engineId)},"items":[${texts}]}`);
      texts = [];
      length = 0;
    }
  }
}

function parse(payload: string): { readonly from: string; readonly items: readonly NewsItem[] } | undefined {
  try {
    return JSON.parse(payload) as { from: string; items: NewsItem[] }; // as another engine sent it
  } catch {
    return undefined; // cut short on its way: the slow look finds what it told of
  }
}
