// One open flow: reads it, keeps reading while it may still grow, and hands over sessions that go on where the one before was.
import { api, ApiError, isAbort, ServerGone } from "../api/client";
import { connection } from "../api/connection.svelte";
import type { Flow } from "../api/flow";
import { seedColours } from "../colour/services";
import { sources } from "../search/sources";
import { parseInstant } from "../time/instant";
import { TimelineSession } from "../trace/session.svelte";
import { readView } from "../trace/viewparam";
import { loadFlow } from "./load";
import { buildFlowModel } from "./weave";

const WAIT_FOR_FLOW_MS = 2_000;
/** Effects come late: a flow that has just happened, or has messages on their way, is read again as long as that is cheap. */
const FOLLOW_MS = 3_000;
const FOLLOW_FOR_MS = 120_000;
const FOLLOW_SPANS_MOST = 5_000;

/** What the address says about the first session. */
export interface Opening {
  window: string | null;
  linear: boolean;
  lanes: boolean;
  path: boolean;
  /** Only what is below this span: trace and span id with a dot between. */
  below: string | null;
}

export const NO_OPENING: Opening = { window: null, linear: false, lanes: false, path: false, below: null };

export function openingOf(params: URLSearchParams): Opening {
  return { window: params.get("window"), linear: params.get("axis") === "linear", lanes: params.get("lanes") !== null, path: params.get("path") !== null, below: params.get("below") };
}

export class FlowReading {
  session = $state.raw<TimelineSession | null>(null);
  failure = $state.raw<ApiError | null>(null);
  /** All spans are here. */
  whole = $state(false);
  openedAt: string | null = null;
  #reading = false;
  #below: string[] | null = null;

  constructor(
    readonly traceId: string,
    readonly opening: Opening,
  ) {}

  get flow(): Flow | null {
    return this.session?.base.flow ?? null;
  }

  get notReceived(): boolean {
    return this.failure?.status === 404;
  }

  async read(spanId: string | null, signal: AbortSignal): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      const services = await sources.services().catch(() => []);
      seedColours(services.map((service) => service.name));
      await this.#load(spanId, signal).catch((error: unknown) => {
        // The span may not be here (yet) while its trace is.
        if (spanId === null || !(error instanceof ApiError) || error.status !== 404) throw error;
        return this.#load(null, signal);
      });
      this.failure = null;
    } catch (error) {
      if (isAbort(error) || error instanceof ServerGone) return;
      if (!(error instanceof ApiError)) throw error;
      if (!this.session) this.failure = error;
    } finally {
      this.#reading = false;
    }
  }

  async #load(spanId: string | null, signal: AbortSignal): Promise<void> {
    await loadFlow(this.traceId, spanId, signal, (material, whole) => {
      // An address may open a part of a large flow: what it names is looked for again as more arrives.
      const before = this.session;
      const next = new TimelineSession(buildFlowModel(material));
      if (before && before.base.flow?.flow_id === material.flow.flow_id) next.continueFrom(before);
      else this.#open(next);
      this.#reroot(next);
      this.openedAt = spanId;
      this.session = next;
      this.whole = whole;
    });
  }

  /** The span may be on a later page. */
  #reroot(session: TimelineSession): void {
    const [traceId, spanId] = this.#below ?? [];
    const node = traceId === undefined ? null : session.nodeOf(spanId ?? null, traceId);
    if (node === null) return;
    const view = session.view;
    session.reroot(node);
    if (this.opening.window !== null) session.view = view;
    this.#below = null;
  }

  #open(session: TimelineSession): void {
    session.folding = !this.opening.linear;
    session.view = readView(this.opening.window, session.axis);
    if (this.opening.lanes) session.arrange(true);
    else if (this.opening.path) session.showPath(true);
    this.#below = this.opening.below?.split(".") ?? null;
  }

  /** Looks again until it is aborted. */
  follow(signal: AbortSignal): void {
    const timer = setInterval(() => void this.#again(signal), FOLLOW_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  async #again(signal: AbortSignal): Promise<void> {
    if (document.hidden || connection.gone !== null || this.#reading || !this.whole || !this.#mayGrow()) return;
    try {
      const now = await api.flow(this.traceId, this.openedAt, signal);
      if (JSON.stringify(now) !== JSON.stringify(this.flow)) await this.read(this.openedAt, signal);
    } catch (error) {
      if (!isAbort(error) && !(error instanceof ServerGone) && !(error instanceof ApiError)) throw error;
    }
  }

  #mayGrow(): boolean {
    const { flow, session } = this;
    if (!flow || !session || session.base.spans.length > FOLLOW_SPANS_MOST) return false;
    const endedAtMs = Number(parseInstant(flow.last_effect_unix_nano) / 1_000_000n);
    return Date.now() - endedAtMs < FOLLOW_FOR_MS || flow.hops.some((hop) => hop.state === "pending" || hop.state === "late");
  }

  /** A flow that is not there yet may still come: its link was perhaps quicker than its spans. */
  wait(spanId: string | null, signal: AbortSignal): void {
    const timer = setInterval(() => !document.hidden && void this.read(spanId, signal), WAIT_FOR_FLOW_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }
}
