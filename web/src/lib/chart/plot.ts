// A time series on a canvas by uPlot, in the colours of the page. Loaded with the first chart, never with the page.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clockLabel, COUNT_STEPS, DURATION_STEPS_NS, stacked } from "./axis";

export interface Series {
  label: string;
  values: readonly (number | null)[];
  /** A colour of styles/tokens.css, as `var(--name)`. */
  colour: string;
  area?: boolean;
  dash?: boolean;
}

export interface Plan {
  /** The start of each step, in milliseconds. */
  times: readonly number[];
  series: readonly Series[];
  bars: boolean;
  unit: "duration" | "count";
  format: (value: number) => string;
  /** Charts of the same group share the pointer. */
  group: string;
  onpoint: (index: number | null) => void;
  onrange: (fromMs: number, toMs: number) => void;
}

const SIDE_PX = 62;
const DRAG_LEAST_PX = 6;

function resolver(element: Element): (colour: string) => string {
  const style = getComputedStyle(element);
  return (colour) => {
    const name = /^var\((--[\w-]+)\)$/.exec(colour)?.[1];
    return name ? style.getPropertyValue(name).trim() : colour;
  };
}

function translucent(colour: string, alpha: number): string {
  const value = Number.parseInt(colour.slice(1), 16);
  return `rgba(${value >> 16}, ${(value >> 8) & 255}, ${value & 255}, ${alpha})`;
}

/** What is drawn: the lines themselves, or for bars the sums from the bottom, the top first so that lower ones lie over it. */
function order(plan: Plan): { series: Series; drawn: readonly (number | null)[] }[] {
  if (!plan.bars) return plan.series.map((series) => ({ series, drawn: series.values }));
  const sums = stacked(plan.series.map((series) => series.values));
  return plan.series.map((series, index) => ({ series, drawn: sums[index] ?? [] })).reverse();
}

function seriesOptions(plan: Plan, { series }: { series: Series }, colour: (name: string) => string): uPlot.Series {
  const stroke = colour(series.colour);
  if (plan.bars) return { label: series.label, stroke, fill: stroke, width: 0, points: { show: false }, paths: uPlot.paths.bars?.({ size: [0.8, 24] }) };
  return {
    label: series.label,
    stroke,
    width: 1.6,
    spanGaps: false,
    points: { show: (plot: uPlot) => plot.data[0].length < 2 || lonely(series.values), size: 5, fill: stroke },
    ...(series.area ? { fill: translucent(stroke, 0.13) } : {}),
    ...(series.dash ? { dash: [5, 4] } : {}),
  };
}

/** Points between gaps would not be seen as a line. */
function lonely(values: readonly (number | null)[]): boolean {
  return values.some((value, index) => value !== null && values[index - 1] == null && values[index + 1] == null);
}

export function draw(target: HTMLElement, width: number, height: number, plan: Plan): uPlot {
  const colour = resolver(target);
  const grid = { stroke: colour("var(--chart-grid)"), width: 1 };
  const axis = { stroke: colour("var(--text-3)"), grid, ticks: { ...grid, size: 4 }, font: `11px ${getComputedStyle(target).fontFamily}` };
  const drawn = order(plan);
  const options: uPlot.Options = {
    width,
    height,
    ms: 1,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: plan.group },
      drag: { x: true, y: false, setScale: false, dist: DRAG_LEAST_PX },
      points: { size: 6 },
      focus: { prox: 24 },
    },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, size: 26, space: 70, values: (_plot, marks) => marks.map((ms) => clockLabel(ms, (marks[1] ?? ms) - (marks[0] ?? ms))) },
      {
        ...axis,
        size: SIDE_PX,
        space: 28,
        incrs: plan.unit === "duration" ? DURATION_STEPS_NS : COUNT_STEPS,
        values: (_plot, marks) => marks.map((value) => (value === 0 ? "0" : plan.format(value))),
      },
    ],
    series: [{}, ...drawn.map((one) => seriesOptions(plan, one, colour))],
    hooks: {
      setCursor: [(plot) => plan.onpoint(plot.cursor.left == null || plot.cursor.left < 0 ? null : (plot.cursor.idx ?? null))],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide >= DRAG_LEAST_PX) plan.onrange(plot.posToVal(left, "x"), plot.posToVal(left + wide, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
  const data = [plan.times, ...drawn.map((one) => one.drawn)] as unknown as uPlot.AlignedData;
  return new uPlot(options, data, target);
}
