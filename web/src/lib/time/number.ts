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
