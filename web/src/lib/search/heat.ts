// Draws the heat map: one rectangle a cell, the fuller the stronger its colour, with red from below for the share that failed.
import type { HeatMap } from "../api/explore";

export interface HeatColours {
  low: string;
  high: string;
  error: string;
}

function channels(hex: string): [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

const mix = (a: [number, number, number], b: [number, number, number], share: number): [number, number, number] => [
  a[0] + (b[0] - a[0]) * share,
  a[1] + (b[1] - a[1]) * share,
  a[2] + (b[2] - a[2]) * share,
];

/** How strong a cell is drawn, 0 … 1: logarithmic, so that one slow span among thousands of fast ones can be seen. */
export function strength(spans: number, most: number): number {
  if (spans <= 0) return 0;
  return most <= 1 ? 0.6 : 0.12 + 0.88 * (Math.log(spans) / Math.log(most));
}

export function drawHeat(canvas: HTMLCanvasElement, map: HeatMap, colours: HeatColours): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const rows = map.edges_ns.length - 1;
  const [width, height] = [canvas.width / map.columns, canvas.height / rows];
  const [low, high] = [channels(colours.low), channels(colours.high)];
  const most = Math.max(1, ...map.cells.map((cell) => cell.spans));
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const cell of map.cells) {
    const [red, green, blue] = mix(low, high, strength(cell.spans, most));
    const x = Math.floor(cell.column * width);
    const y = Math.floor(canvas.height - (cell.row + 1) * height);
    // A gap of a pixel between cells, if they are large enough to have one.
    const wide = Math.max(1, Math.floor((cell.column + 1) * width) - x - (width > 4 ? 1 : 0));
    const tall = Math.max(1, Math.floor(canvas.height - cell.row * height) - y - (height > 4 ? 1 : 0));
    context.fillStyle = `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`;
    context.fillRect(x, y, wide, tall);
    if (cell.errors === 0) continue;
    // What failed fills the cell from below, at least as a line that can be seen.
    const failed = Math.min(tall, Math.max(2, Math.round((tall * cell.errors) / cell.spans)));
    context.fillStyle = colours.error;
    context.fillRect(x, y + tall - failed, wide, failed);
  }
}

/** Rows at whole decades (or, where there are few, at every edge) for the labels at the side. */
export function rowMarks(edges: readonly number[]): { row: number; ns: number }[] {
  const isDecade = (ns: number) => Math.abs(Math.log10(ns) - Math.round(Math.log10(ns))) < 0.01;
  const marks = edges.map((ns, row) => ({ ns, row })).filter(({ row }) => row < edges.length);
  const decades = marks.filter(({ ns }) => isDecade(ns));
  return decades.length >= 2 ? decades : marks.filter((_, index) => index % Math.ceil(marks.length / 5) === 0);
}
