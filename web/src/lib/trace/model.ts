// Spans as a forest: parents resolved, times relative to the start, cycles cut, and rows for what is no span (a parent that
// did not arrive, a message nobody took). One model serves a trace and a flow; what a flow adds is woven in by flow/weave.ts.
// Pure. Does not decide what is visible (rows.ts) nor where it is drawn (axis.ts, draw.ts).
import type { BatchSibling, Flow, Hop } from "../api/flow";
import type { Resource, Scope, Span, Trace } from "../api/types";
import { offsetFrom, parseInstant } from "../time/instant";
import { cutCycles, NONE, resolveParents, SpanIndex, type Missing } from "./parents";

/** A place in the tree: span index ≥ 0, or `~extra` (< 0) for a row that is no span. */
export type Node = number;
export { NONE };

export type Extra =
  /** A span that others name and that has not arrived: as parent, as sender of a message, or as the other end of a link. */
  | { kind: "missing"; why: "parent" | "sender" | "link"; traceId: string; spanId: string; parent: Node; children: Node[]; hop: number }
  /** A message that nobody is known to have received. */
  | { kind: "message"; parent: Node; children: Node[]; hop: number; sender: number }
  /** Messages of other flows that a batch took as well. */
  | { kind: "siblings"; parent: Node; children: Node[]; siblings: BatchSibling[] }
  /** A service with its spans, when rows are grouped by service. */
  | { kind: "lane"; parent: Node; children: Node[]; service: string };

export interface TimelineModel {
  /** The trace of the root; spans without a trace of their own belong to it. */
  traceId: string;
  flow: Flow | null;
  truncated: boolean;
  totalSpans: number;
  resources: Resource[];
  scopes: Scope[];
  startNs: bigint;
  /** From the earliest start to the last end, ns; at least 1 so that it can be divided by. */
  durationNs: number;
  spans: Span[];
  index: SpanIndex;
  /** Offset from the start, ns. */
  startOffset: Float64Array;
  duration: Float64Array;
  /** The node above each span, or NONE. */
  parent: Int32Array;
  children: Node[][];
  extras: Extra[];
  /** Top of the forest in order of time. */
  roots: Node[];
  /** Spans below each span, itself not counted. */
  descendants: Uint32Array;
  /** Latest end within the subtree of each span, itself counted; offset, ns. */
  subtreeEnd: Float64Array;
  services: string[];
  serviceOf: Int32Array;
  rootIndex: number;
  /** Offset at which the caller had its answer, ns. */
  answerAt: number;
  hops: readonly Hop[];
  /** How many attempts there are of each hop's message in its group. */
  attempts: Uint32Array;
  /** The hop that brought each span its message, or -1. */
  hopOf: Int32Array;
  /** How long each span's message waited for it, ns; 0 where nothing waited or nothing is known. */
  wait: Float64Array;
  /** Sender and receiver of every hop whose ends are both here: pairs of span indexes, with the hop. */
  ties: { from: number; to: number; hop: number }[];
  /** ns each span is on the critical path, working and waiting; NaN where it is not. */
  pathWorking: Float64Array;
  pathWaiting: Float64Array;
}

/** What a model is made of before children are known. A weaver changes parents and adds rows. */
export interface Draft {
  spans: Span[];
  index: SpanIndex;
  parent: Int32Array;
  extras: Extra[];
  startOffset: Float64Array;
  duration: Float64Array;
}

export interface Given {
  traceId: string;
  flow: Flow | null;
  spans: Span[];
  resources: Resource[];
  scopes: Scope[];
  startUnixNano: bigint;
  answerNs: number;
  rootSpan: { traceId: string; spanId: string } | null;
  durationNs: number;
  truncated: boolean;
  totalSpans: number;
}

type Subtrees = Pick<TimelineModel, "descendants" | "subtreeEnd">;

/** Children before parents, over spans and extras alike, without recursion. */
function measureSubtrees(given: Pick<TimelineModel, "children" | "extras" | "roots" | "startOffset" | "duration">): Subtrees {
  const { children, extras, roots, startOffset, duration } = given;
  const descendants = new Uint32Array(children.length);
  const subtreeEnd = startOffset.map((from, index) => from + (duration[index] ?? 0));
  const below = (node: Node) => (node >= 0 ? children[node] : extras[~node]?.children) ?? [];
  const order: Node[] = [...roots];
  for (let next = 0; next < order.length; next += 1) {
    for (const child of below(order[next] ?? 0)) order.push(child);
  }
  const extraCount = new Uint32Array(extras.length);
  const extraEnd = new Float64Array(extras.length);
  for (let next = order.length - 1; next >= 0; next -= 1) {
    const at = order[next] ?? 0;
    let count = 0;
    let end = at >= 0 ? (subtreeEnd[at] ?? 0) : 0;
    for (const child of below(at)) {
      count += child >= 0 ? 1 + (descendants[child] ?? 0) : (extraCount[~child] ?? 0);
      end = Math.max(end, child >= 0 ? (subtreeEnd[child] ?? 0) : (extraEnd[~child] ?? 0));
    }
    if (at >= 0) [descendants[at], subtreeEnd[at]] = [count, end];
    else [extraCount[~at], extraEnd[~at]] = [count, end];
  }
  return { descendants, subtreeEnd };
}

function numberServices(spans: Span[]): { services: string[]; serviceOf: Int32Array } {
  const numbers = new Map<string, number>();
  const serviceOf = new Int32Array(spans.length);
  spans.forEach((span, index) => {
    const known = numbers.get(span.service) ?? numbers.size;
    numbers.set(span.service, known);
    serviceOf[index] = known;
  });
  return { services: [...numbers.keys()], serviceOf };
}

/** When a node begins, for its place among its siblings: an extra stands where its first child does, or after its parent. */
function beginsAt(draft: Draft, node: Node): number {
  for (let at = node, guard = 0; guard < 8; guard += 1) {
    if (at >= 0) return draft.startOffset[at] ?? 0;
    const extra = draft.extras[~at];
    if (extra?.kind === "siblings") return -Infinity;
    if (extra?.kind === "message") return (draft.startOffset[extra.sender] ?? 0) + (draft.duration[extra.sender] ?? 0);
    at = extra?.children[0] ?? extra?.parent ?? 0;
    if (at === NONE) return 0;
  }
  return 0;
}

function gather(draft: Draft): { children: Node[][]; roots: Node[] } {
  const children: Node[][] = draft.spans.map(() => []);
  const roots: Node[] = [];
  for (const extra of draft.extras) extra.children = [];
  const hang = (node: Node, up: Node) => {
    if (up === NONE) roots.push(node);
    else if (up >= 0) children[up]?.push(node);
    else draft.extras[~up]?.children.push(node);
  };
  draft.spans.forEach((_, index) => hang(index, draft.parent[index] ?? NONE));
  draft.extras.forEach((extra, index) => {
    // What has found a better place leaves no empty row behind.
    const empty = extra.kind === "missing" && extra.why !== "link" && extra.children.length === 0;
    if (!empty) hang(~index, extra.parent);
  });
  const at = new Map<Node, number>();
  const begins = (node: Node) => (node >= 0 ? (draft.startOffset[node] ?? 0) : (at.get(node) ?? 0));
  const byStart = (a: Node, b: Node) => begins(a) - begins(b) || a - b;
  for (const extra of draft.extras) extra.children.sort(byStart);
  draft.extras.forEach((_, index) => at.set(~index, beginsAt(draft, ~index)));
  for (const list of children) if (list.length > 1) list.sort(byStart);
  return { children, roots: roots.sort(byStart) };
}

const parentMissing = (traceId: string, { spanId }: Missing): Extra => ({ kind: "missing", why: "parent", traceId, spanId, parent: NONE, children: [], hop: -1 });

export function buildTimeline(given: Given, weave: (draft: Draft) => void = () => undefined): TimelineModel {
  const { spans } = given;
  let startNs = given.startUnixNano;
  for (const span of spans) {
    const start = parseInstant(span.start_unix_nano);
    if (start < startNs) startNs = start;
  }
  const startOffset = Float64Array.from(spans, (span) => offsetFrom(startNs, span.start_unix_nano));
  const duration = Float64Array.from(spans, (span) => Math.max(0, span.duration_ns));
  const index = new SpanIndex(spans, given.traceId);
  const { parent, missing } = resolveParents(spans, index);
  const extras = missing.map((one) => parentMissing(one.traceId, one));
  missing.forEach((one, group) => one.children.forEach((child) => (parent[child] = ~group)));
  const draft: Draft = { spans, index, parent, extras, startOffset, duration };
  weave(draft);
  cutCycles(parent, extras, startOffset);
  const { children, roots } = gather(draft);
  const rootIndex = given.rootSpan ? index.find(given.rootSpan.traceId, given.rootSpan.spanId) : -1;
  let durationNs = given.durationNs;
  for (let at = 0; at < spans.length; at += 1) durationNs = Math.max(durationNs, (startOffset[at] ?? 0) + (duration[at] ?? 0));
  return {
    ...given, startNs, index, startOffset, duration, parent, children, extras, roots, rootIndex,
    durationNs: Math.max(1, durationNs),
    ...measureSubtrees({ children, extras, roots, startOffset, duration }),
    ...numberServices(spans),
    answerAt: (startOffset[Math.max(0, rootIndex)] ?? 0) + given.answerNs,
    hops: given.flow?.hops ?? [],
    attempts: new Uint32Array(given.flow?.hops.length ?? 0).fill(1),
    hopOf: new Int32Array(spans.length).fill(-1),
    wait: new Float64Array(spans.length),
    ties: [],
    pathWorking: new Float64Array(spans.length).fill(NaN),
    pathWaiting: new Float64Array(spans.length).fill(NaN),
  };
}

/** A trace by itself. */
export function buildModel(trace: Trace): TimelineModel {
  return buildTimeline({
    traceId: trace.trace_id,
    flow: null,
    spans: trace.spans,
    resources: trace.resources,
    scopes: trace.scopes,
    startUnixNano: parseInstant(trace.start_unix_nano),
    answerNs: trace.answer_ns,
    rootSpan: trace.root_span_id ? { traceId: trace.trace_id, spanId: trace.root_span_id } : null,
    durationNs: trace.duration_ns,
    truncated: trace.truncated,
    totalSpans: trace.total_span_count,
  });
}

/** The trace that a span belongs to. */
export function traceOfSpan(model: TimelineModel, index: number): string {
  return (model.spans[index] as { trace_id?: string } | undefined)?.trace_id ?? model.traceId;
}
