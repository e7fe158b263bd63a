// The stretch of time a view shows, in the address and back: `range=1h`, or `start` and `end` that a chart was dragged to.
// Pure; `now` is given.
import type { Params } from "../api/client";

export interface Scope {
  range: string;
  /** Unix nanoseconds as text; both or none. */
  start: string;
  end: string;
}

export const SCOPES: readonly { value: string; label: string; long: string; seconds: number }[] = [
  { value: "15m", label: "15 m", long: "Last 15 minutes", seconds: 900 },
  { value: "1h", label: "1 h", long: "Last hour", seconds: 3600 },
  { value: "6h", label: "6 h", long: "Last 6 hours", seconds: 21_600 },
  { value: "24h", label: "24 h", long: "Last 24 hours", seconds: 86_400 },
  { value: "7d", label: "7 d", long: "Last 7 days", seconds: 604_800 },
];
const USUAL = "1h";

export function readScope(params: URLSearchParams): Scope {
  const range = params.get("range") ?? "";
  const [start, end] = [params.get("start") ?? "", params.get("end") ?? ""];
  const own = /^\d+$/.test(start) && /^\d+$/.test(end) && BigInt(start) < BigInt(end);
  return { range: SCOPES.some((one) => one.value === range) ? range : USUAL, start: own ? start : "", end: own ? end : "" };
}

/** What to put into the address for a scope; the usual one is not written. */
export function scopeParams(scope: Partial<Scope>): Record<string, string | null> {
  const own = Boolean(scope.start && scope.end);
  return {
    range: own || !scope.range || scope.range === USUAL ? null : scope.range,
    start: own ? (scope.start ?? null) : null,
    end: own ? (scope.end ?? null) : null,
  };
}

/** The part of a link's query that keeps the scope; empty or beginning with `?`. */
export function scopeQuery(scope: Scope): string {
  const pairs = Object.entries(scopeParams(scope)).filter((pair): pair is [string, string] => pair[1] !== null);
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
}

export interface Bounds {
  startNs: bigint;
  endNs: bigint;
  seconds: number;
}

export function boundsOf(scope: Scope, nowMs: number): Bounds {
  if (scope.start !== "") {
    const [startNs, endNs] = [BigInt(scope.start), BigInt(scope.end)];
    return { startNs, endNs, seconds: Math.max(1, Number((endNs - startNs) / 1_000_000n) / 1000) };
  }
  const seconds = SCOPES.find((one) => one.value === scope.range)?.seconds ?? 3600;
  const endNs = BigInt(Math.round(nowMs)) * 1_000_000n;
  return { startNs: endNs - BigInt(seconds) * 1_000_000_000n, endNs, seconds };
}

export function scopeToApi(scope: Scope, nowMs: number): Params {
  const { startNs, endNs } = boundsOf(scope, nowMs);
  return { start: String(startNs), end: scope.start === "" ? null : String(endNs) };
}
