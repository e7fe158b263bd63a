// Instants: Unix nanoseconds as BigInt; shown in the reader's zone, with UTC at hand. Never a float of absolute time.

const NS_PER_MS = 1_000_000n;

export function parseInstant(text: string): bigint {
  return /^-?\d+$/.test(text) ? BigInt(text) : 0n;
}

/** Nanoseconds from `origin` to `text`, exact to 104 days, which is far above what a float64 would lose. */
export function offsetFrom(origin: bigint, text: string): number {
  return Number(parseInstant(text) - origin);
}

/** Rounded down, before 1970 too, so that the fraction that is cut off is never negative. */
export function toDate(ns: bigint): Date {
  const cut = ns / NS_PER_MS;
  return new Date(Number(ns % NS_PER_MS < 0n ? cut - 1n : cut));
}

const two = (value: number) => String(value).padStart(2, "0");

function clock(date: Date, ms: string): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${ms}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Local time, as short as is clear: today's without a date, this year's without a year. */
export function formatInstant(ns: bigint, now: Date = new Date()): string {
  const date = toDate(ns);
  const time = clock(date, `.${String(date.getMilliseconds()).padStart(3, "0")}`);
  if (date.toDateString() === now.toDateString()) return time;
  const day = `${date.getDate()} ${MONTHS[date.getMonth()]}`;
  return date.getFullYear() === now.getFullYear() ? `${day} ${time}` : `${day} ${date.getFullYear()} ${time}`;
}

/** UTC to the nanosecond, RFC 3339: for the tooltip and for copying. */
export function formatUtc(ns: bigint): string {
  const date = toDate(ns);
  if (Number.isNaN(date.getTime())) return `${ns} ns`;
  const fraction = String(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n).padStart(9, "0");
  return `${date.toISOString().slice(0, 19)}.${fraction}Z`;
}

/** How long ago, coarse: for lists. */
export function formatAgo(ns: bigint, now: Date): string {
  const seconds = Math.round((now.getTime() - Number(ns / NS_PER_MS)) / 1000);
  if (seconds < -1) return "in the future";
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** For <input type="datetime-local">, which speaks local time without a zone. */
export function toLocalInput(date: Date): string {
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${clock(date, "")}`;
}
