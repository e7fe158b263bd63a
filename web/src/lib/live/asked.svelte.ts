// A question to the API that a view keeps asking: at once, when what it reads changes, when the server is back, and again
// and again while the view is live. The last answer stays until the next one is there.
import { untrack } from "svelte";
import { ApiError, isAbort, ServerGone } from "../api/client";
import { connection } from "../api/connection.svelte";

export class Asked<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);
  /** When the value came, in milliseconds; what is "ago" in a view is counted from here. */
  at = $state(0);
  /** Whether what is shown answers an earlier question than the present one. */
  stale = $state(false);
  private running: AbortController | null = null;

  constructor(private readonly question: (signal: AbortSignal) => Promise<T>) {}

  ask(): Promise<void> {
    this.running?.abort();
    const controller = new AbortController();
    this.running = controller;
    // Called here, so that an effect around it sees what the question reads.
    const answer = this.question(controller.signal);
    return untrack(() => this.settle(answer, controller));
  }

  private async settle(answer: Promise<T>, controller: AbortController): Promise<void> {
    this.loading = true;
    try {
      const value = await answer;
      if (this.running !== controller) return;
      this.value = value;
      this.at = Date.now();
      this.error = null;
      this.stale = false;
    } catch (error) {
      if (isAbort(error) || this.running !== controller) return;
      if (error instanceof ApiError) this.error = error;
      else if (!(error instanceof ServerGone)) throw error;
    } finally {
      if (this.running === controller) {
        this.running = null;
        this.loading = false;
      }
    }
  }

  /** Again, unless an answer is on its way. */
  again(): void {
    if (this.running === null && !document.hidden && connection.gone === null) void this.ask();
  }

  stop(): void {
    this.running?.abort();
    this.running = null;
  }
}

/** For the top of a component. `everyMs` is null while the view is not live. */
export function asked<T>(question: (signal: AbortSignal) => Promise<T>, everyMs: () => number | null = () => null): Asked<T> {
  const state = new Asked(question);
  $effect(() => {
    void connection.epoch;
    untrack(() => (state.stale = state.value !== null));
    void state.ask();
    return () => state.stop();
  });
  $effect(() => {
    const every = everyMs();
    if (every === null) return;
    const timer = setInterval(() => state.again(), every);
    return () => clearInterval(timer);
  });
  return state;
}
