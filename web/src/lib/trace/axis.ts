// From time to place. An axis maps offsets (ns) to units (0 … 1 over the whole trace); a view is a part of the units.
// The folded axis gives long idle time a fixed small width, so that 20 ms of work before two hours of waiting stays
// readable; everywhere else both axes have one scale. Pure.

export interface Interval {
  from: number;
  to: number;
}

export interface Fold extends Interval {
  unitFrom: number;
  unitTo: number;
}

export interface Axis {
  durationNs: number;
  folds: Fold[];
  /** Width of one nanosecond outside folds, in units. */
  unitPerNs: number;
  toUnit(ns: number): number;
  toTime(unit: number): number;
}

export interface View {
  from: number;
  to: number;
}

export const WHOLE: View = { from: 0, to: 1 };

const FOLDS_MOST = 12;
const FOLD_UNITS = 0.035;
/** Idle time shorter than this share of what remains is left as it is. */
const FOLD_FROM_SHARE = 0.08;

/** Times at which no span was running, in order. */
export function idleIntervals(start: Float64Array, duration: Float64Array, totalNs: number): Interval[] {
  const order = Uint32Array.from(start, (_, index) => index).sort((a, b) => (start[a] ?? 0) - (start[b] ?? 0));
  const idle: Interval[] = [];
  let busyUntil = 0;
  for (const index of order) {
    const from = start[index] ?? 0;
    if (from > busyUntil) idle.push({ from: busyUntil, to: from });
    busyUntil = Math.max(busyUntil, from + (duration[index] ?? 0));
  }
  if (busyUntil < totalNs) idle.push({ from: busyUntil, to: totalNs });
  return idle;
}

export function worthFolding(idle: Interval[], durationNs: number): Interval[] {
  const longest = [...idle].sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, FOLDS_MOST);
  const picked: Interval[] = [];
  let remaining = durationNs;
  for (const gap of longest) {
    const length = gap.to - gap.from;
    if (length <= remaining * FOLD_FROM_SHARE || length >= durationNs) break;
    picked.push(gap);
    remaining -= length;
  }
  return picked.sort((a, b) => a.from - b.from);
}

/** An axis on which each of `gaps` (in order, disjoint) has a small fixed width. Without gaps it is linear. */
export function makeAxis(durationNs: number, gaps: Interval[] = []): Axis {
  const folded = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const unitPerNs = (1 - gaps.length * FOLD_UNITS) / Math.max(1, durationNs - folded);
  const folds: Fold[] = [];
  let time = 0;
  let unit = 0;
  for (const gap of gaps) {
    const unitFrom = unit + (gap.from - time) * unitPerNs;
    folds.push({ ...gap, unitFrom, unitTo: unitFrom + FOLD_UNITS });
    time = gap.to;
    unit = unitFrom + FOLD_UNITS;
  }
  return { durationNs, folds, unitPerNs, ...conversions(folds, unitPerNs) };
}

function conversions(folds: Fold[], unitPerNs: number): Pick<Axis, "toUnit" | "toTime"> {
  const toUnit = (ns: number): number => {
    let time = 0;
    let unit = 0;
    for (const fold of folds) {
      if (ns <= fold.from) break;
      if (ns < fold.to) return fold.unitFrom + ((ns - fold.from) / (fold.to - fold.from)) * FOLD_UNITS;
      time = fold.to;
      unit = fold.unitTo;
    }
    return unit + (ns - time) * unitPerNs;
  };
  const toTime = (target: number): number => {
    let time = 0;
    let unit = 0;
    for (const fold of folds) {
      if (target <= fold.unitFrom) break;
      if (target < fold.unitTo) return fold.from + ((target - fold.unitFrom) / FOLD_UNITS) * (fold.to - fold.from);
      time = fold.to;
      unit = fold.unitTo;
    }
    return time + (target - unit) / unitPerNs;
  };
  return { toUnit, toTime };
}

export interface Tick {
  ns: number;
  unit: number;
  /** How exact its label must be: a fold ends at no round time. */
  step: number;
}

const NICE = [1, 2, 5, 10];

export function niceStep(atLeast: number): number {
  if (!(atLeast > 0) || !Number.isFinite(atLeast)) return 1;
  const clockSteps = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map((s) => s * 1e9);
  if (atLeast > 3e10 && atLeast <= 8.64e13) return clockSteps.find((step) => step >= atLeast) ?? 8.64e13;
  const power = 10 ** Math.floor(Math.log10(atLeast));
  return Math.max(1, (NICE.find((factor) => factor * power >= atLeast) ?? 10) * power);
}

/** Round times in view, at least `gapPx` apart on a strip of `width` pixels, and the end of each fold; none inside one. */
export function ticks(axis: Axis, view: View, width: number, gapPx: number): Tick[] {
  const unitsPerPx = (view.to - view.from) / Math.max(1, width);
  const step = niceStep((gapPx * unitsPerPx) / axis.unitPerNs);
  const found: Tick[] = [];
  let time = axis.toTime(view.from);
  const end = axis.toTime(view.to);
  for (let guard = 0; guard < 500 && time <= end; guard += 1) {
    const ns = Math.max(0, Math.ceil(time / step - 1e-9)) * step;
    if (ns > end) break;
    const fold = axis.folds.find((candidate) => ns > candidate.from && ns < candidate.to);
    if (!fold) found.push({ ns, unit: axis.toUnit(ns), step });
    time = fold ? fold.to : ns + step / 2;
  }
  for (const fold of axis.folds) {
    if (fold.unitTo > view.from && fold.unitTo < view.to) found.push({ ns: fold.to, unit: fold.unitTo, step: step / 10 });
  }
  found.sort((a, b) => a.ns - b.ns);
  return found;
}

const NARROWEST_NS = 50;

/** `view` scaled by `factor` around `anchor` (a unit), kept within the axis. */
export function zoomed(axis: Axis, view: View, factor: number, anchor: number): View {
  const narrowest = Math.min(1, NARROWEST_NS * axis.unitPerNs);
  const width = Math.min(1, Math.max(narrowest, (view.to - view.from) * factor));
  const share = (anchor - view.from) / Math.max(1e-300, view.to - view.from);
  return placed(anchor - share * width, width);
}

export function panned(view: View, byUnits: number): View {
  return placed(view.from + byUnits, view.to - view.from);
}

export function placed(from: number, width: number): View {
  const start = Math.min(Math.max(0, from), 1 - width);
  return { from: start, to: start + width };
}
