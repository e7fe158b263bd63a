// The only place of the page that fetches. Turns answers into typed values and failures into two kinds of error:
// ApiError (the server answered and said no) and ServerGone (nobody useful answered). Holds no state and retries nothing.
import type { Flow, FlowSpans } from "./flow";
import type {
  AttributeKey,
  AttributeValueCount,
  Level,
  Operation,
  Page,
  ServiceCount,
  Status,
  Trace,
  TraceLinks,
  TraceSummary,
} from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null,
    /** Byte offset in `q`, when a query could not be read. */
    readonly position: number | null,
  ) {
    super(message);
  }
}

export class ServerGone extends Error {}

export type Params = Record<string, string | number | null | undefined>;

/** Called after each request: `null` when the server answered, else why it did not. */
export type Listener = (gone: string | null) => void;
let listener: Listener = () => undefined;
export function listen(next: Listener): void {
  listener = next;
}

function address(path: string, params: Params): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return text === "" ? path : `${path}?${text}`;
}

function gone(reason: string): ServerGone {
  listener(reason);
  return new ServerGone(reason);
}

async function refusal(response: Response): Promise<Error> {
  const body: unknown = await response.json().catch(() => null);
  const error = (body as { error?: Record<string, unknown> } | null)?.error;
  // A proxy in between speaks for a server that is away; so does the server itself while it starts.
  if (!error && response.status >= 500) return gone(`The answer was ${response.status} ${response.statusText}`.trim());
  if (response.status === 503) return gone(String(error?.["message"] ?? "The server is not ready yet"));
  listener(null);
  return new ApiError(
    response.status,
    String(error?.["code"] ?? "unknown"),
    String(error?.["message"] ?? `The server answered ${response.status}`),
    typeof error?.["hint"] === "string" ? error["hint"] : null,
    typeof error?.["position"] === "number" ? error["position"] : null,
  );
}

/** For the questions of one area, which live beside their shapes; see messaging.ts. */
export async function get<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(address(path, params), { headers: { accept: "application/json" }, signal: signal ?? null });
  } catch (cause) {
    if (isAbort(cause)) throw cause;
    throw gone("No connection to the server");
  }
  if (!response.ok) throw await refusal(response);
  try {
    const body = (await response.json()) as T;
    listener(null);
    return body;
  } catch (cause) {
    if (isAbort(cause)) throw cause;
    throw gone("The answer broke off");
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export const api = {
  status: (signal?: AbortSignal) => get<Status>("/api/status", {}, signal),
  services: (signal?: AbortSignal) => get<Page<ServiceCount>>("/api/services", {}, signal),
  operations: (service: string, signal?: AbortSignal) =>
    get<Page<Operation>>("/api/operations", { service }, signal),
  attributeKeys: (prefix: string, level: Level | null, signal?: AbortSignal) =>
    get<Page<AttributeKey>>("/api/attributes/keys", { prefix, level, limit: 60 }, signal),
  attributeValues: (key: string, level: Level | null, prefix: string, signal?: AbortSignal) =>
    get<Page<AttributeValueCount>>("/api/attributes/values", { key, level, prefix, limit: 50 }, signal),
  search: (params: Params, signal?: AbortSignal) => get<Page<TraceSummary>>("/api/traces", params, signal),
  trace: (id: string, signal?: AbortSignal) => get<Trace>(`/api/traces/${encodeURIComponent(id)}`, {}, signal),
  links: (id: string, signal?: AbortSignal, spanId: string | null = null) =>
    get<TraceLinks>(`/api/traces/${encodeURIComponent(id)}/links`, { span_id: spanId }, signal),
  flow: (id: string, spanId: string | null, signal?: AbortSignal) =>
    get<Flow>(`/api/flows/${encodeURIComponent(id)}`, { span_id: spanId }, signal),
  flowSpans: (id: string, params: Params, signal?: AbortSignal) =>
    get<FlowSpans>(`/api/flows/${encodeURIComponent(id)}/spans`, params, signal),
};
