// Small traces for unit tests: only what a test is about needs to be said.
import type { Span, Trace } from "../api/types";

export const START = 1_700_000_000_000_000_000n;

export interface SpanGiven {
  id: string;
  parent?: string | null;
  at?: number;
  for?: number;
  service?: string;
  kind?: Span["kind"];
  links?: { trace_id: string; span_id: string }[];
}

export function spanOf(given: SpanGiven): Span {
  return {
    span_id: given.id,
    parent_span_id: given.parent ?? null,
    scope: 0,
    service: given.service ?? "shop",
    name: `span ${given.id}`,
    kind: given.kind ?? "internal",
    start_unix_nano: String(START + BigInt(given.at ?? 0)),
    duration_ns: given.for ?? 10,
    status: { code: "unset", message: "" },
    trace_state: "",
    flags: 1,
    attributes: [],
    events: [],
    links: (given.links ?? []).map((link) => ({ ...link, trace_state: "", flags: 0, attributes: [], dropped_attributes_count: 0 })),
    dropped_attributes_count: 0,
    dropped_events_count: 0,
    dropped_links_count: 0,
    notes: [],
  };
}

export function traceOf(given: SpanGiven[]): Trace {
  const spans = given.map(spanOf);
  const root = spans.find((span) => span.parent_span_id === null);
  const end = Math.max(...given.map((one) => (one.at ?? 0) + (one.for ?? 10)));
  return {
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    start_unix_nano: String(START),
    duration_ns: end,
    answer_ns: root?.duration_ns ?? 0,
    last_effect_ns: end,
    root_span_id: root?.span_id ?? null,
    span_count: spans.length,
    total_span_count: spans.length,
    truncated: false,
    resources: [{ service: "shop", attributes: [], schema_url: "", dropped_attributes_count: 0 }],
    scopes: [{ resource: 0, name: "", version: "", attributes: [], schema_url: "", dropped_attributes_count: 0 }],
    spans,
  };
}
