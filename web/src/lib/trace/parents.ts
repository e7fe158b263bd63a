// Who is whose parent, from what spans say of themselves: ids are looked up within a trace, shared ids are told apart, rings
// are cut. Pure; what links and messages say comes later (flow/weave.ts).
import type { Kind, Span } from "../api/types";
import type { Extra, Node } from "./model";

const CALLER_SIDE: ReadonlySet<Kind> = new Set(["client", "producer"]);
/** No node: the parent of what stands at the top. */
export const NONE: Node = -0x8000_0000;

const traceOf = (span: Span, fallback: string): string => (span as { trace_id?: string }).trace_id ?? fallback;

/** Spans by trace and id. Zipkin's shared spans: the two sides of one call carry the same id; the calling side comes first. */
export class SpanIndex {
  #traces = new Map<string, Map<string, number | number[]>>();

  constructor(spans: Span[], readonly fallback: string) {
    spans.forEach((span, index) => this.#add(span, index));
  }

  #add(span: Span, index: number): void {
    const trace = traceOf(span, this.fallback);
    let ids = this.#traces.get(trace);
    if (!ids) this.#traces.set(trace, (ids = new Map()));
    const same = ids.get(span.span_id);
    if (same === undefined) ids.set(span.span_id, index);
    else {
      const list = typeof same === "number" ? [same] : same;
      if (CALLER_SIDE.has(span.kind)) list.unshift(index);
      else list.push(index);
      ids.set(span.span_id, list);
    }
  }

  all(traceId: string, spanId: string): readonly number[] {
    const found = this.#traces.get(traceId)?.get(spanId);
    return found === undefined ? [] : typeof found === "number" ? [found] : found;
  }

  /** The span with this id, the calling side of two; -1 when it is not here. */
  find(traceId: string, spanId: string): number {
    const found = this.#traces.get(traceId)?.get(spanId);
    return found === undefined ? -1 : typeof found === "number" ? found : (found[0] ?? -1);
  }
}

export interface Missing {
  traceId: string;
  spanId: string;
  children: number[];
}

/** Of several spans with the parent's id, the one on the child's own service, else the answering side. */
function pickParent(spans: Span[], child: number, candidates: readonly number[]): number {
  if (candidates.length === 1) return candidates[0] === child ? NONE : (candidates[0] ?? NONE);
  const others = candidates.filter((index) => index !== child);
  const local = others.find((index) => spans[index]?.service === spans[child]?.service);
  return local ?? others[others.length - 1] ?? NONE;
}

export function resolveParents(spans: Span[], index: SpanIndex): { parent: Int32Array; missing: Missing[] } {
  const parent = new Int32Array(spans.length).fill(NONE);
  const missing = new Map<string, Missing>();
  spans.forEach((span, at) => {
    const traceId = traceOf(span, index.fallback);
    const caller = index.find(traceId, span.span_id);
    if (caller !== at) {
      parent[at] = caller;
      return;
    }
    const parentId = span.parent_span_id;
    if (!parentId || parentId === span.span_id) return;
    const candidates = index.all(traceId, parentId);
    if (candidates.length > 0) {
      parent[at] = pickParent(spans, at, candidates);
      return;
    }
    const key = `${traceId}.${parentId}`;
    const group = missing.get(key);
    if (group) group.children.push(at);
    else missing.set(key, { traceId, spanId: parentId, children: [at] });
  });
  return { parent, missing: [...missing.values()] };
}

/** Follows parents up from each node; where a walk meets itself, the earliest span of the ring becomes a root. */
export function cutCycles(parent: Int32Array, extras: Extra[], start: Float64Array): void {
  const count = parent.length;
  // Extras come after the spans: place n + i is the node ~i.
  const place = (node: Node) => (node >= 0 ? node : count + ~node);
  const up = (at: number): number => {
    const node = at < count ? (parent[at] ?? NONE) : (extras[at - count]?.parent ?? NONE);
    return node === NONE ? -1 : place(node);
  };
  const seen = new Int32Array(count + extras.length); // 0 never, n in walk n
  for (let first = 0; first < seen.length; first += 1) {
    let at = first;
    while (at >= 0 && seen[at] === 0) {
      seen[at] = first + 1;
      at = up(at);
    }
    if (at < 0 || seen[at] !== first + 1) continue;
    const top = earliestOfRing(up, start, at, count);
    if (top >= 0) parent[top] = NONE;
  }
}

function earliestOfRing(up: (at: number) => number, start: Float64Array, member: number, count: number): number {
  let earliest = member < count ? member : -1;
  for (let at = up(member); at !== member && at >= 0; at = up(at)) {
    if (at < count && (earliest < 0 || (start[at] ?? 0) < (start[earliest] ?? 0))) earliest = at;
  }
  return earliest;
}
