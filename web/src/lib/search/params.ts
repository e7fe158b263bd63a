// The state of the search, written in the address and read back, and what of it goes to the API. Pure.
import type { Params } from "../api/client";
import { narrowed, readSelection } from "./selection";

export interface SearchState {
  q: string;
  service: string;
  name: string;
  kind: string;
  status: string;
  minDuration: string;
  maxDuration: string;
  /** `15m`, `1h` …: the last stretch of time, counted from each request. Excludes start and end. */
  range: string;
  start: string;
  end: string;
  /** The chosen part of the heat map, as selection.ts writes it. */
  selection: string;
  live: boolean;
}

const NAMES = {
  q: "q",
  service: "service",
  name: "name",
  kind: "kind",
  status: "status",
  minDuration: "min_duration",
  maxDuration: "max_duration",
  range: "range",
  start: "start",
  end: "end",
  selection: "sel",
} as const;

type TextField = keyof typeof NAMES;
const FIELDS = Object.keys(NAMES) as TextField[];

export const RANGES: readonly { value: string; label: string; seconds: number }[] = [
  { value: "15m", label: "Last 15 minutes", seconds: 900 },
  { value: "1h", label: "Last hour", seconds: 3600 },
  { value: "24h", label: "Last 24 hours", seconds: 86_400 },
  { value: "7d", label: "Last 7 days", seconds: 604_800 },
];

export function readSearch(params: URLSearchParams): SearchState {
  const state = Object.fromEntries(FIELDS.map((field) => [field, params.get(NAMES[field]) ?? ""])) as Record<TextField, string>;
  return { ...state, live: params.get("live") === "1" };
}

export function searchHref(state: Partial<SearchState>): string {
  const params = new URLSearchParams();
  for (const field of FIELDS) {
    const value = state[field];
    if (value) params.set(NAMES[field], value);
  }
  if (state.live) params.set("live", "1");
  const text = params.toString();
  return text === "" ? "/search" : `/search?${text}`;
}

/** Parameters of GET /api/traces and the heat map, without the selection; `now` in milliseconds anchors a relative range. */
export function toApiParams(state: SearchState, now: number): Params {
  const range = RANGES.find((candidate) => candidate.value === state.range);
  return {
    q: state.q,
    service: state.service,
    name: state.name,
    kind: state.kind,
    status: state.status,
    min_duration: state.minDuration,
    max_duration: state.maxDuration,
    start: range ? `${Math.round(now - range.seconds * 1000)}000000` : state.start,
    end: range ? "" : state.end,
  };
}

/** As `toApiParams`, narrowed to the selection if there is one. */
export function toListParams(state: SearchState, now: number): Params {
  const params = toApiParams(state, now);
  const selection = readSelection(state.selection);
  return selection ? narrowed(params, selection) : params;
}

export function isFiltered(state: SearchState): boolean {
  return FIELDS.some((field) => state[field] !== "");
}
