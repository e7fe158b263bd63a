// What the figures of a destination come to: what went in and out, who is worst off, points on a regular grid. Pure.
import type { Destination, DestinationDetail, Figures, Group, SeriesPoint, Standings } from "../api/messaging";

/** Deliveries of a group: some senders trace taking, some working, some both. */
export function outOf(figures: Figures): number {
  return Math.max(figures.received, figures.processed);
}

/** Deliveries to all groups; a destination without groups has its own figures only. */
export function deliveries(destination: Destination): number {
  if (destination.groups.length === 0) return outOf(destination.figures);
  return destination.groups.reduce((sum, group) => sum + outOf(group.figures), 0);
}

export type Health = "good" | "warn" | "bad";

/** Lost messages are bad; late and dead-lettered ones are a warning. */
export function healthOf({ figures, now }: { figures: Figures; now: Standings }): Health {
  if (now.lost > 0 || figures.lost > 0) return "bad";
  return now.late > 0 || figures.dead_lettered > 0 ? "warn" : "good";
}

/** How long the oldest message that nobody has taken has waited, in nanoseconds; null when there is none. */
export function oldestAge(now: Standings, nowMs: number): number | null {
  if (now.oldest_unix_nano === null) return null;
  return Math.max(0, Number(BigInt(Math.round(nowMs)) * 1_000_000n - BigInt(now.oldest_unix_nano)));
}

/** Those who need a look first: what is lost, late, given up on, has waited long, then the busiest. */
export function byTrouble(a: Destination, b: Destination): number {
  const keys = (one: Destination) => [one.now.lost + one.figures.lost, one.now.late, one.figures.dead_lettered, one.figures.sent];
  const [left, right] = [keys(a), keys(b)];
  for (let index = 0; index < left.length; index += 1) {
    const difference = (right[index] ?? 0) - (left[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.key < b.key ? -1 : 1;
}

export type SortKey = "trouble" | "name" | "in" | "out" | "wait" | "oldest" | "pending" | "late" | "lost" | "dead";

export function sorter(key: SortKey, nowMs: number): (a: Destination, b: Destination) => number {
  const measures: Record<Exclude<SortKey, "trouble" | "name">, (one: Destination) => number> = {
    in: (one) => one.figures.sent,
    out: deliveries,
    wait: (one) => one.figures.queue_wait.p95_ns ?? -1,
    oldest: (one) => oldestAge(one.now, nowMs) ?? -1,
    pending: (one) => one.now.pending,
    late: (one) => one.now.late,
    lost: (one) => Math.max(one.now.lost, one.figures.lost),
    dead: (one) => one.figures.dead_lettered,
  };
  if (key === "trouble") return byTrouble;
  if (key === "name") return (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  return (a, b) => measures[key](b) - measures[key](a) || byTrouble(a, b);
}

/** One line of a chart: a value for each step, null where nothing is known. */
export interface Line {
  group: string | null;
  values: (number | null)[];
}

/** The steps of a range in milliseconds, regular, so that silence is drawn as nothing and not as a slope. */
export function gridOf(detail: DestinationDetail, startNs: bigint, endNs: bigint): number[] {
  const step = BigInt(detail.step_ns);
  const grid: number[] = [];
  for (let at = startNs - (startNs % step); at < endNs; at += step) grid.push(Number(at / 1_000_000n));
  return grid;
}

/** Values of one measure by group over a grid. Partitions of a group are put together by `join`. */
export function lines(
  detail: DestinationDetail,
  grid: readonly number[],
  measure: (figures: Figures) => number | null,
  join: (a: number, b: number) => number,
  missing: number | null,
): Line[] {
  const places = new Map(grid.map((ms, index) => [ms, index]));
  const found = new Map<string | null, (number | null)[]>();
  const put = (point: SeriesPoint) => {
    const place = places.get(Number(BigInt(point.start_unix_nano) / 1_000_000n));
    const value = measure(point.figures);
    if (place === undefined || value === null) return;
    let values = found.get(point.group);
    if (!values) found.set(point.group, (values = Array<number | null>(grid.length).fill(missing)));
    const before = values[place];
    values[place] = before == null || before === missing ? value : join(before, value);
  };
  detail.series.forEach(put);
  return [...found].map(([group, values]) => ({ group, values })).sort((a, b) => ((a.group ?? "") < (b.group ?? "") ? -1 : 1));
}

export const sum = (a: number, b: number) => a + b;

/** All lines in one: what a list's small picture shows. */
export function total(of: readonly Line[], length: number): number[] {
  return Array.from({ length }, (_, index) => of.reduce((all, line) => all + (line.values[index] ?? 0), 0));
}

export const groupNames = (destination: { groups: readonly Group[] }) => destination.groups.map((group) => group.name).sort();

export function destinationHref(key: string, query = ""): string {
  return `/destinations/${encodeURIComponent(key)}${query}`;
}

/** `system:name` taken apart at the first colon: names may have more of them. */
export function splitKey(key: string): { system: string; name: string } {
  const at = key.indexOf(":");
  return at < 0 ? { system: "", name: key } : { system: key.slice(0, at), name: key.slice(at + 1) };
}
