// Counts and sizes for people.

const counts = new Intl.NumberFormat("en", { useGrouping: true });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export function formatCount(value: number): string {
  return counts.format(value).replaceAll(",", "\u202f");
}

/** `1.2K`, `3.4M`: where only the size matters. */
export function formatCompact(value: number): string {
  return value < 10_000 ? formatCount(value) : compact.format(value);
}

export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const text = unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "");
  return `${text}\u202f${units[unit]}`;
}

export function plural(count: number, one: string, many: string = `${one}s`): string {
  return `${formatCount(count)}\u00a0${count === 1 ? one : many}`;
}

/** How often something happened: a second for what is frequent, a minute otherwise. */
export function formatRate(count: number, seconds: number): string {
  if (count === 0 || seconds <= 0) return "0";
  const perSecond = count / seconds;
  const [value, unit] = perSecond >= 10 ? [perSecond, "s"] : [perSecond * 60, "min"];
  const text = value >= 100 ? formatCompact(Math.round(value)) : value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(2);
  return `${text === "0.00" ? "<0.01" : text}/${unit}`;
}

/** A share of a whole; small ones keep a figure, so that one failure in thousands is not "0 %". */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return "0\u202f%";
  const percent = (100 * part) / whole;
  const text = percent >= 10 ? percent.toFixed(0) : percent >= 0.1 ? percent.toFixed(1).replace(/\.0$/, "") : "<0.1";
  return `${text}\u202f%`;
}
