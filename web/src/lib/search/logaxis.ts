// The shared time axis of a result list: logarithmic, because answers take milliseconds and last effects take minutes or
// days. Its marks are round for people (1 s, 10 s, 1 m), and it is always drawn with them, so that nobody takes it for a
// linear one. Pure.
import type { TraceSummary } from "../api/types";
import { formatDuration } from "../time/duration";

export interface LogAxis {
  lowNs: number;
  highNs: number;
  marks: { share: number; label: string }[];
}

const S = 1e9;
const ROUND_NS = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, S, 10 * S, 60 * S, 600 * S, 3_600 * S, 36_000 * S, 86_400 * S, 864_000 * S, 8_640_000 * S];
const MARKS_FEWEST = 4;

export function logAxis(items: readonly TraceSummary[]): LogAxis {
  let least = Infinity;
  let most = 0;
  for (const item of items) {
    if (item.answer_ns > 0) least = Math.min(least, item.answer_ns);
    most = Math.max(most, item.last_effect_ns, item.answer_ns);
  }
  if (!Number.isFinite(least)) least = 1e6;
  const above = ROUND_NS.findIndex((ns) => ns >= most);
  const high = Math.max(MARKS_FEWEST - 1, above < 0 ? ROUND_NS.length - 1 : above);
  const below = ROUND_NS.findLastIndex((ns) => ns <= least);
  const low = Math.max(0, Math.min(below, high - MARKS_FEWEST + 1));
  const axis: LogAxis = { lowNs: ROUND_NS[low] ?? 1e3, highNs: ROUND_NS[high] ?? S, marks: [] };
  axis.marks = ROUND_NS.slice(low, high + 1).map((ns) => ({ share: shareOf(axis, ns), label: formatDuration(ns) }));
  return axis;
}

/** Place of a duration on the axis, 0 … 1. */
export function shareOf(axis: LogAxis, ns: number): number {
  if (ns <= axis.lowNs) return 0;
  return Math.min(1, Math.log(ns / axis.lowNs) / Math.log(axis.highNs / axis.lowNs));
}
