// Shapes and questions of destinations, messages, the map and what is expected, as docs/api.md writes them down.
import { ApiError, get, type Params } from "./client";
import type { Page } from "./types";

export interface Quantiles {
  count: number;
  p50_ns: number | null;
  p95_ns: number | null;
  p99_ns: number | null;
  max_ns: number | null;
}

export interface Figures {
  sent: number;
  received: number;
  processed: number;
  failed: number;
  dead_lettered: number;
  late: number;
  lost: number;
  clock_skewed: number;
  queue_wait: Quantiles;
}

export interface Standings {
  pending: number;
  late: number;
  lost: number;
  oldest_unix_nano: string | null;
}

export interface Group {
  name: string;
  figures: Figures;
  now: Standings;
}

export interface Destination {
  /** `system:name`. */
  key: string;
  system: string;
  name: string;
  kind: string;
  figures: Figures;
  now: Standings;
  groups: Group[];
}

/** `group` is null for what is about the messages themselves. */
export interface SeriesPoint {
  start_unix_nano: string;
  group: string | null;
  partition: string | null;
  figures: Figures;
}

export interface DestinationDetail {
  destination: Destination;
  step_ns: number;
  series: SeriesPoint[];
}

export type MessageState = "pending" | "consumed" | "late" | "lost" | "dead_lettered" | "unknown";

export interface Delivery {
  group: string;
  service: string;
  trace_id: string;
  span_id: string;
  received_unix_nano: string;
  queue_wait_ns: number | null;
  attempts: number;
  failed: number;
  evidence: string;
}

export interface Message {
  id: string;
  trace_id: string;
  span_id: string;
  service: string;
  destination: string;
  partition: string | null;
  sent_unix_nano: string;
  count: number;
  state: MessageState;
  missing_groups: string[];
  sampled: boolean;
  deliveries: Delivery[];
}

export interface DeadLetter {
  id: string;
  sent_unix_nano: string;
  group: string;
  /** The span that failed last. */
  trace_id: string;
  span_id: string;
  detail: string;
}

export interface DeadLetterCause {
  /** Empty when nothing was said. */
  cause: string;
  service: string;
  messages: number;
  newest: DeadLetter[];
}

export interface DeadLetters {
  items: DeadLetterCause[];
  messages: number;
  truncated: boolean;
}

export type PeerKind = "service" | "destination" | "database" | "cache" | "host";
export interface Peer {
  kind: PeerKind;
  name: string;
}

export interface MapEdge {
  from: Peer;
  to: Peer;
  count: number;
  errors: number;
  duration: Quantiles;
}

export interface ServiceMap {
  nodes: Peer[];
  edges: MapEdge[];
}

export interface Expectation {
  destination: string;
  route: string | null;
  group: string | null;
  declared: boolean;
  expected: boolean;
  share: number;
  messages: number;
  p99_ns: number | null;
  late_ns: number | null;
  lost_ns: number | null;
}

export interface ServiceStep {
  start_unix_nano: string;
  requests: number;
  errors: number;
  p50_ns: number | null;
  p95_ns: number | null;
}

/** What a service was asked: spans of kind server or consumer, and spans without a parent. */
export interface Service {
  name: string;
  /** All spans that are stored of it, whatever their time. */
  spans: number;
  figures: { requests: number; errors: number; duration: Quantiles };
  step_ns: number;
  series: ServiceStep[];
}

/** A destination nobody has used is answered with null; here it is not found, as everything else that is not there. */
async function destination(key: string, params: Params, signal?: AbortSignal): Promise<DestinationDetail> {
  const answer = await get<Omit<DestinationDetail, "destination"> & { destination: Destination | null }>(`/api/destinations/${encodeURIComponent(key)}`, params, signal);
  if (answer.destination === null) throw new ApiError(404, "not_found", `Nothing is known to have been sent to ${key}, or received from it`, null, null);
  return { ...answer, destination: answer.destination };
}

export const messaging = {
  services: (scope: Params, signal?: AbortSignal) => get<Page<Service>>("/api/services", scope, signal),
  destinations: (scope: Params, signal?: AbortSignal) => get<Page<Destination>>("/api/destinations", scope, signal),
  destination,
  messages: (params: Params, signal?: AbortSignal) => get<Page<Message>>("/api/messages", params, signal),
  message: (id: string, signal?: AbortSignal) => get<Message>(`/api/messages/${encodeURIComponent(id)}`, {}, signal),
  deadLetters: (destination: string, scope: Params, signal?: AbortSignal) => get<DeadLetters>("/api/dead-letters", { destination, ...scope }, signal),
  map: (scope: Params, signal?: AbortSignal) => get<ServiceMap>("/api/map", scope, signal),
  expectations: (signal?: AbortSignal) => get<{ rules: string[]; items: Expectation[] }>("/api/expectations", {}, signal),
};
