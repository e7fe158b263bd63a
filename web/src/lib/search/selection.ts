// The chosen part of the heat map: a stretch of time and a range of durations, in the address and for the API. Pure.
import type { Params } from "../api/client";
import type { HeatMap } from "../api/explore";
import { parseDuration } from "../time/duration";

export interface Selection {
  /** Unix nanoseconds as text. */
  start: string;
  end: string;
  minNs: number;
  /** Null where the range is open: it reaches to the top row. */
  maxNs: number | null;
}

/** `start-end_min-max`; the last is empty for an open range. */
export function writeSelection({ start, end, minNs, maxNs }: Selection): string {
  return `${start}-${end}_${minNs}-${maxNs ?? ""}`;
}

export function readSelection(text: string): Selection | null {
  const match = /^(\d{1,20})-(\d{1,20})_(\d{1,16})-(\d{0,16})$/.exec(text);
  const [, start, end, min, max] = match ?? [];
  if (start === undefined || end === undefined || min === undefined || BigInt(start) >= BigInt(end)) return null;
  const [minNs, maxNs] = [Number(min), max === "" || max === undefined ? null : Number(max)];
  return maxNs !== null && maxNs < minNs ? null : { start, end, minNs, maxNs };
}

/** Columns and rows of a map, both ends included, in any order. */
export interface Box {
  fromColumn: number;
  toColumn: number;
  fromRow: number;
  toRow: number;
}

export function ordered(box: Box): Box {
  return {
    fromColumn: Math.min(box.fromColumn, box.toColumn),
    toColumn: Math.max(box.fromColumn, box.toColumn),
    fromRow: Math.min(box.fromRow, box.toRow),
    toRow: Math.max(box.fromRow, box.toRow),
  };
}

export function selectionOf(map: HeatMap, box: Box): Selection {
  const { fromColumn, toColumn, fromRow, toRow } = ordered(box);
  const at = (column: number) => String(BigInt(map.start_unix_nano) + BigInt(map.step_ns) * BigInt(column));
  const rows = map.edges_ns.length - 1;
  return {
    start: at(fromColumn),
    end: at(toColumn + 1),
    minNs: fromRow === 0 ? 0 : (map.edges_ns[fromRow] ?? 0),
    // The API's upper bound is inclusive, a row's is not.
    maxNs: toRow >= rows - 1 ? null : (map.edges_ns[toRow + 1] ?? 1) - 1,
  };
}

/** Where a selection lies on a map, as shares of its width and height; the map may be of another stretch of time. */
export function placeOf(map: HeatMap, selection: Selection): { left: number; right: number; bottom: number; top: number } {
  const clamp = (share: number) => Math.min(1, Math.max(0, share));
  const across = (ns: string) => clamp(Number(BigInt(ns) - BigInt(map.start_unix_nano)) / (map.step_ns * map.columns));
  const rows = map.edges_ns.length - 1;
  const up = (ns: number) => {
    const above = map.edges_ns.findIndex((edge) => edge > ns);
    return clamp((above < 0 ? rows : Math.max(0, above - 1)) / rows);
  };
  const top = selection.maxNs === null ? 1 : up(selection.maxNs + 1);
  return { left: across(selection.start), right: across(selection.end), bottom: selection.minNs === 0 ? 0 : up(selection.minNs), top };
}

/** The search narrowed to the selection. What the search itself asks for still holds. */
export function narrowed(params: Params, selection: Selection): Params {
  const least = Math.max(selection.minNs, parseDuration(String(params["min_duration"] ?? "")) ?? 0);
  const most = Math.min(selection.maxNs ?? Infinity, parseDuration(String(params["max_duration"] ?? "")) ?? Infinity);
  return {
    ...params,
    start: selection.start,
    end: selection.end,
    min_duration: least > 0 ? String(least) : params["min_duration"],
    max_duration: Number.isFinite(most) ? String(most) : params["max_duration"],
  };
}

/** The parameters that name the selection to `/api/search/explain`, beside those of the search. */
export function chosenParams(selection: Selection): Params {
  return {
    chosen_start: selection.start,
    chosen_end: selection.end,
    chosen_min_duration: selection.minNs > 0 ? String(selection.minNs) : null,
    chosen_max_duration: selection.maxNs === null ? null : String(selection.maxNs),
  };
}
