// Marks on the axes of time series: round durations upwards, the reader's clock sideways. Pure.
import { toLocalInput } from "../time/instant";

const S = 1e9;
const DECADES = Array.from({ length: 10 }, (_, exponent) => 10 ** exponent);

/** Distances between marks on an axis of nanoseconds that people take for round. */
export const DURATION_STEPS_NS = [
  ...DECADES.flatMap((decade) => [decade, 2 * decade, 5 * decade]),
  ...[10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 18_000, 36_000, 86_400, 172_800, 432_000].map((seconds) => seconds * S),
];

/** Counts have no halves. */
export const COUNT_STEPS = [1, ...DECADES.flatMap((decade) => [2 * decade, 5 * decade, 10 * decade])];

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The label of an instant on an axis whose marks are `stepMs` apart: a date at midnight, seconds only where they differ. */
export function clockLabel(ms: number, stepMs: number): string {
  const date = new Date(ms);
  const clock = toLocalInput(date).slice(11);
  if (stepMs >= 86_400_000 || clock === "00:00:00") return `${date.getDate()} ${MONTHS[date.getMonth()]}`;
  return stepMs < 60_000 ? clock : clock.slice(0, 5);
}

/** Adds up series by step, so that bars can stand on each other; the first lies at the bottom. */
export function stacked(series: readonly (readonly (number | null)[])[]): number[][] {
  const height: number[] = [];
  return series.map((values) => values.map((value, index) => (height[index] = (height[index] ?? 0) + (value ?? 0))));
}
