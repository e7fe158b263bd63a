// Small flows for unit tests: spans with their trace, hops by span ids, and nothing that a test is not about.
import type { Flow, FlowSpan, Hop } from "../api/flow";
import { spanOf, START, type SpanGiven } from "../trace/fixture";
import { buildFlowModel } from "./weave";

export interface FlowSpanGiven extends SpanGiven {
  trace?: string;
}

export function hopOf(from: string, to: string | null, given: Partial<Hop> & { traces?: [string, string] } = {}): Hop {
  const { traces = ["t", "t"], ...more } = given;
  return {
    from: { trace_id: traces[0], span_id: from, service: "shop" },
    to: to === null ? null : { trace_id: traces[1], span_id: to, service: "worker" },
    destination: { system: "kafka", name: "orders" },
    consumer_group: "workers",
    message_id: null,
    evidence: to === null ? null : "link",
    queue_wait_ns: to === null ? null : 5,
    wait_source: to === null ? null : "spans",
    attempt: 1,
    state: to === null ? "unknown" : "consumed",
    clock_skew: false,
    ...more,
  };
}

export function flowOf(given: FlowSpanGiven[], more: Partial<Flow> = {}): { flow: Flow; spans: FlowSpan[] } {
  const spans = given.map((one): FlowSpan => ({ ...spanOf(one), trace_id: one.trace ?? "t" }));
  const end = Math.max(...given.map((one) => (one.at ?? 0) + (one.for ?? 10)));
  const first = given[0];
  const names = [...new Set(spans.map((span) => span.service))];
  const flow: Flow = {
    flow_id: `t-${first?.id}`,
    root: { trace_id: first?.trace ?? "t", span_id: first?.id ?? "", service: "shop", name: `span ${first?.id}` },
    start_unix_nano: String(START),
    answered_unix_nano: String(START + BigInt(first?.for ?? 10)),
    last_effect_unix_nano: String(START + BigInt(end)),
    working_ns: 0,
    waiting_ns: 0,
    traces: [...new Set(spans.map((span) => span.trace_id))].map((trace_id) => ({ trace_id, relation: "root", start_unix_nano: "0", end_unix_nano: "0", span_count: spans.filter((span) => span.trace_id === trace_id).length })),
    hops: [],
    services: names.map((name) => ({ name, spans: spans.filter((span) => span.service === name).length, errors: 0 })),
    destinations: [],
    critical_path: [],
    not_received: [],
    batch_siblings: [],
    truncated: false,
    ...more,
  };
  return { flow, spans };
}

export const flowModel = (given: FlowSpanGiven[], more: Partial<Flow> = {}) => buildFlowModel({ ...flowOf(given, more), resources: [], scopes: [] });
