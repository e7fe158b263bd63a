// The result list of the search view: first page, further pages, live refresh. One list per set of parameters; the last
// lists are kept so that "back" shows at once what was there, where it was.
import { api, ApiError, isAbort, ServerGone, type Params } from "../api/client";
import type { TraceSummary } from "../api/types";
import { appendPage, mergeNewest } from "./merge";
import { toListParams, type SearchState } from "./params";

const PAGE_SIZE = 40;
const LISTS_KEPT = 8;

export class Results {
  items = $state.raw<TraceSummary[]>([]);
  nextCursor = $state<string | null>(null);
  loading = $state(false);
  loadingMore = $state(false);
  /** Whether any answer has arrived for these parameters. */
  loaded = $state(false);
  error = $state.raw<ApiError | null>(null);
  /** Ids that a live refresh has just brought. */
  fresh = $state.raw<ReadonlySet<string>>(new Set());
  scrollTop = 0;
  private running: AbortController | null = null;
  private params: Params = {};

  constructor(readonly state: SearchState) {}

  private async run(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.running?.abort();
    const controller = new AbortController();
    this.running = controller;
    try {
      await work(controller.signal);
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      if (error instanceof ApiError) this.error = error;
      else if (!(error instanceof ServerGone)) throw error;
    } finally {
      if (this.running === controller) {
        this.loading = false;
        this.loadingMore = false;
        this.running = null;
      }
    }
  }

  load(): Promise<void> {
    this.loading = true;
    return this.run(async (signal) => {
      this.params = toListParams(this.state, Date.now());
      const page = await api.search({ ...this.params, limit: PAGE_SIZE }, signal);
      this.items = page.items;
      this.nextCursor = page.next_cursor;
      this.fresh = new Set();
      this.loaded = true;
    });
  }

  more(): Promise<void> {
    const cursor = this.nextCursor;
    if (cursor === null || this.loadingMore) return Promise.resolve();
    this.loadingMore = true;
    return this.run(async (signal) => {
      const page = await api.search({ ...this.params, limit: PAGE_SIZE, cursor }, signal);
      this.items = appendPage(this.items, page.items);
      this.nextCursor = page.next_cursor;
    });
  }

  /** The newest page again. Leaves a request in flight alone. */
  refresh(): Promise<void> {
    if (this.running) return Promise.resolve();
    return this.run(async (signal) => {
      const page = await api.search({ ...toListParams(this.state, Date.now()), limit: PAGE_SIZE }, signal);
      const known = new Set(this.items.map((item) => item.trace_id));
      this.fresh = new Set(this.loaded ? page.items.map((item) => item.trace_id).filter((id) => !known.has(id)) : []);
      if (this.items.length <= PAGE_SIZE) this.nextCursor = page.next_cursor;
      this.items = this.items.length <= PAGE_SIZE ? page.items : mergeNewest(this.items, page.items);
      this.loaded = true;
    });
  }

  stop(): void {
    this.running?.abort();
  }
}

const kept = new Map<string, Results>();

/** The list for these parameters: the kept one, or a new and empty one. */
export function resultsFor(state: SearchState): { results: Results; known: boolean } {
  const key = JSON.stringify({ ...state, live: false });
  const old = kept.get(key);
  kept.delete(key);
  const results = old ?? new Results(state);
  kept.set(key, results);
  for (const first of kept.keys()) {
    if (kept.size <= LISTS_KEPT) break;
    kept.delete(first);
  }
  return { results, known: old !== undefined };
}
