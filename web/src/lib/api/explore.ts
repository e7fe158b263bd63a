// Shapes and questions of the heat map and of what explains a part of it, as docs/api.md writes them down.
import { get, type Params } from "./client";
import type { Level } from "./types";

export interface HeatCell {
  column: number;
  row: number;
  spans: number;
  errors: number;
}

export interface Sample {
  looked_at_spans: number;
  stored_spans: number;
}

export interface HeatMap {
  start_unix_nano: string;
  step_ns: number;
  columns: number;
  /** One more than there are rows. */
  edges_ns: number[];
  cells: HeatCell[];
  spans: number;
  sampled: boolean;
  sample: Sample;
}

export interface ValueShare {
  value: string;
  chosen: number;
  rest: number;
}

export interface FieldShares {
  /** As the query language writes it. */
  field: string;
  key: string;
  level: Level | null;
  score: number;
  values: ValueShare[];
}

export interface Explanation {
  chosen: number;
  rest: number;
  items: FieldShares[];
  sampled: boolean;
  sample: Sample;
}

export const explore = {
  heatMap: (params: Params, signal?: AbortSignal) => get<HeatMap>("/api/search/heatmap", params, signal),
  explain: (params: Params, signal?: AbortSignal) => get<Explanation>("/api/search/explain", params, signal),
};
