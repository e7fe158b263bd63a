// Durations for people: three significant figures up to a minute, two units above. Input is nanoseconds.

const US = 1_000;
const MS = 1_000_000;
const S = 1_000_000_000;
const MINUTE = 60 * S;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Thin enough not to tear number and unit apart, and never broken over lines. */
const GAP = "\u202f";

function significant(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1).replace(/\.0$/, "");
  return value.toFixed(2).replace(/\.?0+$/, "");
}

function pair(ns: number, large: number, small: number, names: [string, string]): string {
  const total = Math.round(ns / small);
  const per = large / small;
  const high = Math.floor(total / per);
  const low = total % per;
  return `${high}${GAP}${names[0]}` + (low === 0 ? "" : `${GAP}${low}${GAP}${names[1]}`);
}

export function formatDuration(ns: number): string {
  if (!Number.isFinite(ns)) return "–";
  if (ns < 0) return `−${formatDuration(-ns)}`;
  if (ns < US) return `${Math.round(ns)}${GAP}ns`;
  // The borders are where rounding would print 1000 of the smaller unit.
  if (ns < MS - US / 2) return `${significant(ns / US)}${GAP}µs`;
  if (ns < S - MS / 2) return `${significant(ns / MS)}${GAP}ms`;
  if (ns < MINUTE - S / 20) return `${significant(ns / S)}${GAP}s`;
  if (ns < HOUR - S / 2) return pair(ns, MINUTE, S, ["m", "s"]);
  if (ns < DAY - MINUTE / 2) return pair(ns, HOUR, MINUTE, ["h", "m"]);
  return pair(ns, DAY, HOUR, ["d", "h"]);
}

function decimals(stepNs: number, unitNs: number): number {
  const ratio = unitNs / stepNs;
  return ratio <= 1 ? 0 : Math.min(9, Math.ceil(Math.log10(ratio) - 1e-9));
}

/** A label on a time axis whose neighbours are `stepNs` apart: as precise as the step, no more. */
export function formatTick(ns: number, stepNs: number): string {
  if (ns < 0) return `−${formatTick(-ns, stepNs)}`;
  if (ns === 0) return "0";
  if (ns < MINUTE) {
    const [unit, name] = ns >= S ? [S, "s"] : ns >= MS ? [MS, "ms"] : ns >= US ? [US, "µs"] : [1, "ns"];
    const text = (ns / Number(unit)).toFixed(decimals(stepNs, Number(unit)));
    return `${text.includes(".") ? text.replace(/\.?0+$/, "") : text}${GAP}${name}`;
  }
  if (stepNs >= MINUTE) return formatDuration(ns);
  const fraction = decimals(stepNs, S);
  const units = Math.round((ns / S) * 10 ** fraction);
  const seconds = Math.floor(units / 10 ** fraction);
  const rest = fraction === 0 ? "" : `.${String(units % 10 ** fraction).padStart(fraction, "0")}`;
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${rest}`;
  return seconds >= 3600 ? `${Math.floor(seconds / 3600)}:${clock}` : clock.replace(/^0/, "");
}

const UNITS: Record<string, number> = { ns: 1, us: US, "µs": US, ms: MS, s: S, m: MINUTE, h: HOUR };

/** Reads what the API reads (`10ms`, `1.5s`, plain nanoseconds); null when it would be refused. */
export function parseDuration(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m|h)?\s*$/.exec(text);
  if (!match) return null;
  return Number(match[1]) * (UNITS[match[2] ?? "ns"] ?? 1);
}
