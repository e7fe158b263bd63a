// What the charts of a destination draw: in and out, waits, and what went wrong, each on the same regular steps. Pure.
import type { DestinationDetail, Figures } from "../api/messaging";
import type { Series } from "../chart/plot";
import { colourVariable } from "../colour/services";
import { gridOf, lines, outOf, sum, total, type Line } from "./figures";

export type WaitShare = "p50" | "p95" | "p99" | "max";
export const WAIT_SHARES: readonly WaitShare[] = ["p50", "p95", "p99", "max"];

export interface Charts {
  times: number[];
  flow: Series[];
  waits: Series[];
  trouble: Series[];
}

/** Groups beyond these are drawn as one line; more colours cannot be told apart. */
const GROUPS_MOST = 8;

function grouped(found: readonly Line[], length: number, name: (group: string) => string): Series[] {
  const own = found.filter((line) => line.group !== null);
  const busiest = [...own].sort((a, b) => weight(b) - weight(a));
  const series = busiest.slice(0, GROUPS_MOST).map((line): Series => ({ label: name(line.group ?? ""), values: line.values, colour: colourVariable(line.group ?? "") }));
  const rest = busiest.slice(GROUPS_MOST);
  if (rest.length > 0) series.push({ label: `${rest.length} other groups`, values: total(rest, length), colour: "var(--text-3)", dash: true });
  return series.sort((a, b) => (a.label < b.label ? -1 : 1));
}

const weight = (line: Line) => line.values.reduce<number>((all, value) => all + (value ?? 0), 0);

function waitSeries(detail: DestinationDetail, times: readonly number[], share: WaitShare): Series[] {
  const at = (one: WaitShare) => lines(detail, times, (figures) => figures.queue_wait[`${one}_ns`], Math.max, null).filter((line) => line.group !== null);
  const groups = detail.destination.groups.length;
  if (groups > 1) return grouped(at(share), times.length, (group) => group || "(no group)");
  const colours: [WaitShare, string][] = [["p50", "var(--chart-p50)"], ["p95", "var(--chart-p95)"], ["p99", "var(--chart-p99)"]];
  return colours.map(([one, colour]) => ({ label: one, colour, values: at(one)[0]?.values ?? times.map(() => null) }));
}

export function charts(detail: DestinationDetail, startNs: bigint, endNs: bigint, share: WaitShare): Charts {
  const times = gridOf(detail, startNs, endNs);
  const all = (measure: (figures: Figures) => number) => total(lines(detail, times, measure, sum, 0), times.length);
  const out = grouped(lines(detail, times, outOf, sum, 0), times.length, (group) => `out: ${group || "(no group)"}`);
  const troubles: [string, (figures: Figures) => number, string][] = [
    ["failed attempts", (figures) => figures.failed, "var(--chart-p50)"],
    ["dead-lettered", (figures) => figures.dead_lettered, "var(--dead)"],
    ["late", (figures) => figures.late, "var(--late)"],
    ["lost", (figures) => figures.lost, "var(--lost)"],
  ];
  return {
    times,
    flow: [{ label: "in", values: all((figures) => figures.sent), colour: "var(--chart-in)", area: true }, ...out],
    waits: waitSeries(detail, times, share),
    trouble: troubles.map(([label, measure, colour]) => ({ label, values: all(measure), colour })),
  };
}
