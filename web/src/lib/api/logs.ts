// Log records, as docs/api.md writes them down.
import { get } from "./client";
import type { Attribute, Page } from "./types";

export interface LogRecord {
  id: string;
  time_unix_nano: string;
  severity: "unset" | "trace" | "debug" | "info" | "warn" | "error" | "fatal";
  severity_text: string;
  service: string;
  trace_id: string | null;
  span_id: string | null;
  time_assumed: boolean;
  event_name: string;
  body: string;
  attributes: Attribute[];
  /** In a flow: why the record belongs to it. */
  evidence?: "trace_id" | "message_id" | "business_key";
  evidence_value?: string | null;
}

export function spanLogs(traceId: string, spanId: string, signal: AbortSignal): Promise<Page<LogRecord>> {
  return get<Page<LogRecord>>("/api/logs", { trace_id: traceId, span_id: spanId, limit: 200 }, signal);
}

export function flowLogs(traceId: string, spanId: string | null, q: string, cursor: string | null, signal: AbortSignal): Promise<Page<LogRecord>> {
  return get<Page<LogRecord>>(`/api/flows/${encodeURIComponent(traceId)}/logs`, { span_id: spanId, q, cursor, limit: 200 }, signal);
}
