// The shapes of `/api/flows`, as docs/api.md writes them down. Nothing here is computed.
import type { Resource, Scope, Span } from "./types";

export type MessageState = "pending" | "consumed" | "late" | "lost" | "dead_lettered" | "unknown";
export type Evidence = "parent" | "link" | "broker" | "message_id" | "offset" | "conversation_id" | "business_key";

export interface SpanAt {
  trace_id: string;
  span_id: string;
}

export interface DestinationName {
  system: string;
  name: string;
}

export interface HopEnd extends SpanAt {
  /** Null when that span has not arrived. */
  service: string | null;
}

export interface Hop {
  from: HopEnd;
  to: HopEnd | null;
  destination: DestinationName;
  consumer_group: string | null;
  message_id: string | null;
  evidence: Evidence | null;
  queue_wait_ns: number | null;
  wait_source: "broker" | "header" | "attribute" | "spans" | null;
  attempt: number;
  state: MessageState;
  clock_skew: boolean;
}

export interface FlowTrace {
  trace_id: string;
  relation: "root" | "cause" | "child" | "batch" | "link";
  start_unix_nano: string;
  end_unix_nano: string;
  span_count: number;
}

export interface FlowDestination extends DestinationName {
  messages: number;
  consumed: number;
  dead_lettered: number;
  unknown: number;
  retries: number;
}

export interface PathSegment extends SpanAt {
  self_ns: number;
  kind: "working" | "waiting";
}

export interface BatchSibling extends SpanAt {
  destination: DestinationName;
  message_id: string | null;
}

export interface Flow {
  flow_id: string;
  root: SpanAt & { service: string; name: string };
  start_unix_nano: string;
  answered_unix_nano: string;
  last_effect_unix_nano: string;
  working_ns: number;
  waiting_ns: number;
  traces: FlowTrace[];
  hops: Hop[];
  services: { name: string; spans: number; errors: number }[];
  destinations: FlowDestination[];
  critical_path: PathSegment[];
  not_received: SpanAt[];
  batch_siblings: BatchSibling[];
  truncated: boolean;
}

export interface FlowSpan extends Span {
  trace_id: string;
}

export interface FlowSpans {
  flow_id: string;
  resources: Resource[];
  scopes: Scope[];
  items: FlowSpan[];
  next_cursor: string | null;
}
