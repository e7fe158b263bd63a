// A received trace as a forest: parents resolved, times relative to its start, cycles cut, missing parents named.
// Pure. Does not decide what is visible (rows.ts) nor where it is drawn (axis.ts, draw.ts).
import type { Kind, Span, Trace } from "../api/types";
import { offsetFrom, parseInstant } from "../time/instant";

/** A place in the tree: span index ≥ 0, or `~group` (< 0) for a parent that was not received. */
export type Node = number;

export interface MissingParent {
  parentSpanId: string;
  children: number[];
}

export interface TraceModel {
  trace: Trace;
  startNs: bigint;
  /** From the earliest start to the last end, ns; at least 1 so that it can be divided by. */
  durationNs: number;
  spans: Span[];
  /** Offset from the trace's start, ns. */
  startOffset: Float64Array;
  duration: Float64Array;
  /** Index of the parent span, or -1. */
  parent: Int32Array;
  children: number[][];
  missing: MissingParent[];
  /** Top of the forest in order of time. */
  roots: Node[];
  /** Descendants of each span, itself not counted. */
  descendants: Uint32Array;
  /** Latest end within the subtree of each span, itself counted; offset, ns. */
  subtreeEnd: Float64Array;
  services: string[];
  serviceOf: Int32Array;
  rootIndex: number;
  /** Offset at which the caller had its answer, ns. */
  answerAt: number;
}

const CALLER_SIDE: ReadonlySet<Kind> = new Set(["client", "producer"]);

/** Zipkin's shared spans: the two sides of one call carry the same id. The calling side comes first. */
function indexById(spans: Span[]): Map<string, number[]> {
  const byId = new Map<string, number[]>();
  spans.forEach((span, index) => {
    const same = byId.get(span.span_id);
    if (!same) byId.set(span.span_id, [index]);
    else if (CALLER_SIDE.has(span.kind)) same.unshift(index);
    else same.push(index);
  });
  return byId;
}

/** Of several spans with the parent's id, the one on the child's own service, else the answering side. */
function pickParent(spans: Span[], child: number, candidates: number[]): number {
  const others = candidates.filter((index) => index !== child);
  const local = others.find((index) => spans[index]?.service === spans[child]?.service);
  return local ?? others[others.length - 1] ?? -1;
}

function resolveParents(spans: Span[], byId: Map<string, number[]>): { parent: Int32Array; missing: Map<string, number[]> } {
  const parent = new Int32Array(spans.length).fill(-1);
  const missing = new Map<string, number[]>();
  spans.forEach((span, index) => {
    const same = byId.get(span.span_id) ?? [];
    const caller = same[0] ?? index;
    if (caller !== index) {
      parent[index] = caller;
      return;
    }
    const parentId = span.parent_span_id;
    if (!parentId || parentId === span.span_id) return;
    const candidates = byId.get(parentId);
    if (candidates) parent[index] = pickParent(spans, index, candidates);
    else if (!missing.get(parentId)?.push(index)) missing.set(parentId, [index]);
  });
  return { parent, missing };
}

/** Follows parents up from each span; where a walk meets itself, the earliest span of the ring becomes a root. */
function cutCycles(parent: Int32Array, start: Float64Array): void {
  const seen = new Int32Array(parent.length); // 0 never, n in walk n, -1 known to be sound
  for (let first = 0; first < parent.length; first += 1) {
    let at = first;
    while (at >= 0 && seen[at] === 0) {
      seen[at] = first + 1;
      at = parent[at] ?? -1;
    }
    if (at >= 0 && seen[at] === first + 1) parent[earliestOfRing(parent, start, at)] = -1;
    for (at = first; at >= 0 && seen[at] === first + 1; at = parent[at] ?? -1) seen[at] = -1;
  }
}

function earliestOfRing(parent: Int32Array, start: Float64Array, member: number): number {
  let earliest = member;
  for (let at = parent[member] ?? -1; at !== member && at >= 0; at = parent[at] ?? -1) {
    if ((start[at] ?? 0) < (start[earliest] ?? 0)) earliest = at;
  }
  return earliest;
}

type Subtrees = Pick<TraceModel, "descendants" | "subtreeEnd">;

function measureSubtrees(children: number[][], tops: number[], start: Float64Array, duration: Float64Array): Subtrees {
  const descendants = new Uint32Array(children.length);
  const subtreeEnd = start.map((from, index) => from + (duration[index] ?? 0));
  const order: number[] = [...tops];
  for (let next = 0; next < order.length; next += 1) {
    for (const child of children[order[next] ?? 0] ?? []) order.push(child);
  }
  for (let next = order.length - 1; next >= 0; next -= 1) {
    const at = order[next] ?? 0;
    for (const child of children[at] ?? []) {
      descendants[at] = (descendants[at] ?? 0) + 1 + (descendants[child] ?? 0);
      subtreeEnd[at] = Math.max(subtreeEnd[at] ?? 0, subtreeEnd[child] ?? 0);
    }
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

export function buildModel(trace: Trace): TraceModel {
  const spans = trace.spans;
  const startNs = parseInstant(trace.start_unix_nano);
  const startOffset = Float64Array.from(spans, (span) => offsetFrom(startNs, span.start_unix_nano));
  const duration = Float64Array.from(spans, (span) => Math.max(0, span.duration_ns));
  const { parent, missing: missingById } = resolveParents(spans, indexById(spans));
  cutCycles(parent, startOffset);

  const byStart = (a: number, b: number) => (startOffset[a] ?? 0) - (startOffset[b] ?? 0) || a - b;
  const children: number[][] = spans.map(() => []);
  const tops: number[] = [];
  for (let index = 0; index < spans.length; index += 1) {
    const up = parent[index] ?? -1;
    if (up >= 0) children[up]?.push(index);
    else tops.push(index);
  }
  for (const list of children) list.sort(byStart);
  const missing = [...missingById].map(([parentSpanId, list]) => ({ parentSpanId, children: list.sort(byStart) }));
  const orphaned = new Set(missing.flatMap((group) => group.children));
  const first = (node: Node) => (node >= 0 ? node : (missing[~node]?.children[0] ?? 0));
  const roots: Node[] = [...tops.filter((index) => !orphaned.has(index)), ...missing.map((_, group) => ~group)];
  roots.sort((a, b) => byStart(first(a), first(b)));

  const rootIndex = trace.root_span_id ? spans.findIndex((span) => span.span_id === trace.root_span_id) : -1;
  let end = trace.duration_ns;
  for (let index = 0; index < spans.length; index += 1) end = Math.max(end, (startOffset[index] ?? 0) + (duration[index] ?? 0));
  return {
    trace,
    startNs,
    durationNs: Math.max(1, end),
    spans,
    startOffset,
    duration,
    parent,
    children,
    missing,
    roots,
    ...measureSubtrees(children, tops, startOffset, duration),
    ...numberServices(spans),
    rootIndex,
    answerAt: (startOffset[Math.max(0, rootIndex)] ?? 0) + trace.answer_ns,
  };
}
