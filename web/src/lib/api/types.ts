// The shapes of the HTTP API, as docs/api.md writes them down. Nothing here is computed.

export type Kind = "internal" | "server" | "client" | "producer" | "consumer" | "unspecified";
export type StatusCode = "unset" | "ok" | "error";
export type AttributeType = "string" | "bool" | "int" | "double" | "bytes" | "array" | "map" | "empty";
export type Level = "span" | "resource" | "scope" | "event" | "link";

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Attribute {
  key: string;
  type: AttributeType;
  value: unknown;
}

export interface Status {
  version: string;
  ready: boolean;
  uptime_ns: number;
  spans: number;
  traces: number;
  bytes_on_disk: number;
  oldest_unix_nano: string | null;
  newest_unix_nano: string | null;
  received_spans_total: number;
  listening: Record<string, string>;
}

export interface ServiceCount {
  name: string;
  spans: number;
}

export interface Operation {
  name: string;
  kind: Kind;
  spans: number;
}

export interface AttributeKey {
  key: string;
  level: Level;
  types: AttributeType[];
  spans: number;
}

export interface AttributeValueCount {
  value: string;
  type: AttributeType;
  spans: number;
}

export interface ServiceShare {
  name: string;
  spans: number;
  errors: number;
}

export interface TraceSummary {
  trace_id: string;
  root: { span_id: string; service: string; name: string; kind: Kind } | null;
  start_unix_nano: string;
  duration_ns: number;
  answer_ns: number;
  last_effect_ns: number;
  /** Stretches in which something ran, after the root's start; in between, work waited. */
  worked_ns: [number, number][];
  failed_ns: number[];
  span_count: number;
  error_count: number;
  service_count: number;
  services: ServiceShare[];
  /** The list is ordered by `newest_start_unix_nano`, newest first. */
  matched: { count: number; newest_start_unix_nano: string; spans: MatchedSpan[] };
}

export interface MatchedSpan {
  span_id: string;
  service: string;
  name: string;
  start_unix_nano: string;
  duration_ns: number;
  status: StatusCode;
}

export interface Resource {
  service: string;
  attributes: Attribute[];
  schema_url: string;
  dropped_attributes_count: number;
}

export interface Scope {
  resource: number;
  name: string;
  version: string;
  attributes: Attribute[];
  schema_url: string;
  dropped_attributes_count: number;
}

export interface SpanEvent {
  time_unix_nano: string;
  name: string;
  attributes: Attribute[];
  dropped_attributes_count: number;
}

export interface SpanLink {
  trace_id: string;
  span_id: string;
  trace_state: string;
  flags: number;
  attributes: Attribute[];
  dropped_attributes_count: number;
}

export interface Span {
  span_id: string;
  parent_span_id: string | null;
  scope: number;
  service: string;
  name: string;
  kind: Kind;
  start_unix_nano: string;
  duration_ns: number;
  status: { code: StatusCode; message: string };
  trace_state: string;
  flags: number;
  attributes: Attribute[];
  events: SpanEvent[];
  links: SpanLink[];
  dropped_attributes_count: number;
  dropped_events_count: number;
  dropped_links_count: number;
  notes: string[];
}

export interface Trace {
  trace_id: string;
  start_unix_nano: string;
  duration_ns: number;
  answer_ns: number;
  last_effect_ns: number;
  root_span_id: string | null;
  span_count: number;
  total_span_count: number;
  truncated: boolean;
  resources: Resource[];
  scopes: Scope[];
  spans: Span[];
}

export interface LinkEnd {
  trace_id: string;
  span_id: string;
  service: string | null;
  name: string | null;
  received: boolean;
}

/** `from` is the cause (the span linked to), `to` the span that carries the link. */
export interface TraceLink {
  from: LinkEnd;
  to: LinkEnd;
  evidence: string;
  attributes: Attribute[];
}

export interface TraceLinks {
  outgoing: TraceLink[];
  incoming: TraceLink[];
}
