// The shared time axis of a result list: logarithmic, whole decades, because answers take milliseconds and last effects
// take minutes. Always drawn with its labels, so that nobody takes it for a linear one. Pure.
import type { TraceSummary } from "../api/types";
import { formatDuration } from "../time/duration";

export interface LogAxis {
  /** Exponents of ten, ns. */
  low: number;
  high: number;
  marks: { share: number; label: string }[];
}

const DECADES_FEWEST = 3;

export function logAxis(items: readonly TraceSummary[]): LogAxis {
  let least = Infinity;
  let most = 0;
  for (const item of items) {
    if (item.answer_ns > 0) least = Math.min(least, item.answer_ns);
    most = Math.max(most, item.last_effect_ns, item.answer_ns);
  }
  if (!Number.isFinite(least)) least = 1e6;
  const high = Math.max(4, Math.ceil(Math.log10(Math.max(most, 1)) - 1e-9));
  const low = Math.max(3, Math.min(Math.floor(Math.log10(least)), high - DECADES_FEWEST));
  const marks: LogAxis["marks"] = [];
  for (let exponent = low; exponent <= high; exponent += 1) {
    marks.push({ share: (exponent - low) / (high - low), label: formatDuration(10 ** exponent) });
  }
  return { low, high, marks };
}

/** Place of a duration on the axis, 0 … 1. */
export function shareOf(axis: LogAxis, ns: number): number {
  if (ns <= 0) return 0;
  return Math.min(1, Math.max(0, (Math.log10(ns) - axis.low) / (axis.high - axis.low)));
}
