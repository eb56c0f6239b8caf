import type { Store } from '../port.ts';

export interface StoreHarness {
  /** A second store on the same data, if the adapter allows one: another committer. */
  another?(): Promise<Store>;
  store: Store;
  /** Closes the store and opens the same data again; undefined where nothing outlives the store. */
  reopen?(): Promise<Store>;
  destroy(): Promise<void>;
}
