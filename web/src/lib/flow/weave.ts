// A flow as one forest: what a message led to hangs below the span that sent it, across traces, and what did not arrive has
// a row where it belongs. Pure. The tree is for reading; who really caused what is the server's to say (hops, links).
import type { Flow, FlowSpan, Hop } from "../api/flow";
import type { Resource, Scope } from "../api/types";
import { parseInstant } from "../time/instant";
import { buildTimeline, NONE, type Draft, type Node, type TimelineModel } from "../trace/model";

export interface FlowMaterial {
  flow: Flow;
  spans: FlowSpan[];
  resources: Resource[];
  scopes: Scope[];
}

/** How far up it is looked for whether a span already stands below the sender of its message. */
const CLIMB_MOST = 200;

/** Whether `above` is on the way up from `node` already, by parents alone. */
function standsBelow(draft: Draft, node: number, above: number): boolean {
  let at: Node = draft.parent[node] ?? NONE;
  for (let step = 0; step < CLIMB_MOST && at >= 0; step += 1) {
    if (at === above) return true;
    at = draft.parent[at] ?? NONE;
  }
  return false;
}

const attemptKey = (hop: Hop) => JSON.stringify([hop.from.trace_id, hop.from.span_id, hop.destination.system, hop.destination.name, hop.consumer_group, hop.message_id]);

class Weaver {
  readonly hopOf: Int32Array;
  readonly ties: TimelineModel["ties"] = [];
  /** Who took each message last, by group. */
  #attempts = new Map<string, number>();
  /** Where spans of a trace without a place of their own hang: its earliest span that has no parent. */
  #origins = new Map<string, number>();

  constructor(
    readonly draft: Draft,
    readonly flow: Flow,
  ) {
    this.hopOf = new Int32Array(draft.spans.length).fill(-1);
    draft.spans.forEach((span, index) => {
      const trace = (span as FlowSpan).trace_id;
      if (draft.parent[index] === NONE && !this.#origins.has(trace)) this.#origins.set(trace, index);
    });
  }

  run(): void {
    this.#outside();
    this.flow.hops.forEach((hop, index) => this.#hop(hop, index));
    this.#links();
    this.#orphans();
    this.#siblings();
    this.#notReceived();
  }

  /** What joined by a message or a link may have a parent outside of this flow, as a consumer that polls for all; that one is not missing. */
  #outside(): void {
    const { draft, flow } = this;
    const missing = new Set(flow.not_received.map((one) => `${one.trace_id}.${one.span_id}`));
    const receivers = new Set(flow.hops.map((hop) => (hop.to ? draft.index.find(hop.to.trace_id, hop.to.span_id) : -1)));
    const joined = (index: number) => receivers.has(index) || draft.spans[index]?.links.some((link) => draft.index.find(link.trace_id, link.span_id) >= 0);
    draft.parent.forEach((up, index) => {
      const extra = up < 0 && up !== NONE ? draft.extras[~up] : undefined;
      if (extra?.kind === "missing" && joined(index) && !missing.has(`${extra.traceId}.${extra.spanId}`)) draft.parent[index] = NONE;
    });
  }

  #hop(hop: Hop, index: number): void {
    const { draft } = this;
    const from = draft.index.find(hop.from.trace_id, hop.from.span_id);
    const to = hop.to ? this.#receiver(hop.to.trace_id, hop.to.span_id) : -1;
    if (to < 0) {
      if (from >= 0 && hop.to === null) draft.extras.push({ kind: "message", parent: from, children: [], hop: index, sender: from });
      return;
    }
    const first = this.hopOf[to] === -1;
    if (first) this.hopOf[to] = index;
    if (from < 0) {
      if (first) this.#unknownSender(hop, index, to);
      return;
    }
    const before = this.#attempts.get(attemptKey(hop));
    this.#attempts.set(attemptKey(hop), to);
    this.ties.push({ from: hop.attempt > 1 && before !== undefined ? before : from, to, hop: index });
    if (first && from !== to && !standsBelow(draft, to, from)) draft.parent[to] = from;
  }

  /** Of two spans with one id, the answering side receives. */
  #receiver(traceId: string, spanId: string): number {
    const found = this.draft.index.all(traceId, spanId);
    return found[found.length - 1] ?? -1;
  }

  #unknownSender(hop: Hop, index: number, to: number): void {
    const { draft } = this;
    const up = draft.parent[to] ?? NONE;
    const known = up < 0 && up !== NONE ? draft.extras[~up] : undefined;
    if (known?.kind === "missing" && known.spanId === hop.from.span_id) {
      known.why = "sender";
      known.hop = index;
    } else if (up === NONE) {
      const { trace_id: traceId, span_id: spanId } = hop.from;
      draft.parent[to] = ~draft.extras.length;
      draft.extras.push({ kind: "missing", why: "sender", traceId, spanId, parent: NONE, children: [], hop: index });
    }
  }

  /** Traces that only a link without a message leads to. */
  #links(): void {
    const { draft } = this;
    draft.spans.forEach((span, index) => {
      if (draft.parent[index] !== NONE || span.links.length === 0 || this.#isRoot(index)) return;
      for (const link of span.links) {
        const cause = draft.index.find(link.trace_id, link.span_id);
        if (cause < 0 || cause === index) continue;
        draft.parent[index] = cause;
        return;
      }
    });
  }

  #isRoot(index: number): boolean {
    const span = this.draft.spans[index] as FlowSpan | undefined;
    return span?.span_id === this.flow.root.span_id && span.trace_id === this.flow.root.trace_id;
  }

  /** A parent that did not arrive stands below its trace's origin: the trace says that they belong together. */
  #orphans(): void {
    for (const extra of this.draft.extras) {
      if (extra.kind !== "missing" || extra.parent !== NONE) continue;
      extra.parent = this.#origins.get(extra.traceId) ?? NONE;
    }
  }

  #siblings(): void {
    const { draft, flow } = this;
    if (flow.batch_siblings.length === 0) return;
    const named = new Map(flow.batch_siblings.map((sibling) => [`${sibling.trace_id}.${sibling.span_id}`, sibling] as const));
    draft.spans.forEach((span, index) => {
      if (span.links.length < 2) return;
      const siblings = span.links.flatMap((link) => named.get(`${link.trace_id}.${link.span_id}`) ?? []);
      if (siblings.length > 0) draft.extras.push({ kind: "siblings", parent: index, children: [], siblings });
    });
  }

  #notReceived(): void {
    const { draft, flow } = this;
    if (flow.not_received.length === 0) return;
    const shown = new Set(draft.extras.flatMap((extra) => (extra.kind === "missing" ? [`${extra.traceId}.${extra.spanId}`] : [])));
    const absent = new Set(flow.not_received.map((one) => `${one.trace_id}.${one.span_id}`).filter((key) => !shown.has(key)));
    draft.spans.forEach((span, index) => {
      for (const link of span.links) {
        if (!absent.delete(`${link.trace_id}.${link.span_id}`)) continue;
        draft.extras.push({ kind: "missing", why: "link", traceId: link.trace_id, spanId: link.span_id, parent: index, children: [], hop: -1 });
      }
    });
  }
}

function measureWaits(model: TimelineModel, weaver: Weaver): void {
  model.hopOf = weaver.hopOf;
  const counts = new Map<string, number>();
  for (const hop of model.hops) counts.set(attemptKey(hop), Math.max(hop.attempt, counts.get(attemptKey(hop)) ?? 0));
  model.attempts = Uint32Array.from(model.hops, (hop) => counts.get(attemptKey(hop)) ?? 1);
  model.ties = weaver.ties;
  for (let index = 0; index < model.spans.length; index += 1) {
    model.wait[index] = model.hops[model.hopOf[index] ?? -1]?.queue_wait_ns ?? 0;
  }
}

function markPath(model: TimelineModel, flow: Flow): void {
  for (const segment of flow.critical_path) {
    for (const index of model.index.all(segment.trace_id, segment.span_id)) {
      const times = segment.kind === "waiting" ? model.pathWaiting : model.pathWorking;
      times[index] = (Number.isNaN(times[index]) ? 0 : (times[index] ?? 0)) + segment.self_ns;
    }
  }
}

export function buildFlowModel({ flow, spans, resources, scopes }: FlowMaterial): TimelineModel {
  const start = parseInstant(flow.start_unix_nano);
  let weaver: Weaver | undefined;
  const model = buildTimeline(
    {
      traceId: flow.root.trace_id,
      flow, spans, resources, scopes,
      startUnixNano: start,
      answerNs: Number(parseInstant(flow.answered_unix_nano) - start),
      rootSpan: { traceId: flow.root.trace_id, spanId: flow.root.span_id },
      durationNs: Number(parseInstant(flow.last_effect_unix_nano) - start),
      truncated: flow.truncated,
      totalSpans: flow.traces.reduce((sum, trace) => sum + trace.span_count, 0),
    },
    (draft) => {
      weaver = new Weaver(draft, flow);
      weaver.run();
    },
  );
  if (weaver) measureWaits(model, weaver);
  markPath(model, flow);
  return model;
}
