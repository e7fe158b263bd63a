// The time window of the trace view in the address: `from-to`, whole nanoseconds from the trace's start. Pure.
import { WHOLE, type Axis, type View } from "./axis";

export function writeView(view: View, axis: Axis): string | null {
  if (view.from <= 0 && view.to >= 1) return null;
  return `${Math.floor(axis.toTime(view.from))}-${Math.ceil(axis.toTime(view.to))}`;
}

export function readView(text: string | null, axis: Axis): View {
  const match = /^(\d{1,18})-(\d{1,18})$/.exec(text ?? "");
  if (!match) return WHOLE;
  const from = Math.max(0, axis.toUnit(Number(match[1])));
  const to = Math.min(1, axis.toUnit(Number(match[2])));
  return from < to ? { from, to } : WHOLE;
}
