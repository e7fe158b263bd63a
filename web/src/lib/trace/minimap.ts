// The whole in a strip: a lane for each service while there is room, else a line for each row.
import type { Axis } from "./axis";
import { hatch, inkOf, type Ink } from "./ink";
import type { TimelineModel } from "./model";
import type { Rows } from "./rows";

export const LANES_MOST = 14;
const LANE = 6;

export function minimapHeight(model: TimelineModel): number {
  if (model.services.length > LANES_MOST || model.spans.length < 12) return 44;
  return Math.max(44, model.services.length * LANE + 8);
}

export function drawMinimap(context: CanvasRenderingContext2D, model: TimelineModel, all: Rows, axis: Axis, ink: Ink, width: number, height: number): void {
  context.fillStyle = ink.idle;
  for (const fold of axis.folds) hatch(context, fold.unitFrom * width, 0, (fold.unitTo - fold.unitFrom) * width, height, ink.idle, 5);
  if (model.services.length > LANES_MOST || model.spans.length < 12) drawRowLines(context, model, all, axis, ink, width, height);
  else drawServiceLanes(context, model, axis, ink, width, height);
}

function drawServiceLanes(context: CanvasRenderingContext2D, model: TimelineModel, axis: Axis, ink: Ink, width: number, height: number): void {
  const step = Math.min(10, (height - 4) / model.services.length);
  const thick = Math.max(2, step - 2);
  const top = (height - step * model.services.length) / 2;
  const columns = Math.max(1, Math.ceil(width));
  // Bars of a lane are joined by pixel first: a hundred thousand of them are a few hundred rectangles.
  const busy = model.services.map(() => new Uint8Array(columns + 1));
  for (let node = 0; node < model.spans.length; node += 1) {
    const start = model.startOffset[node] ?? 0;
    const from = Math.max(0, Math.floor(axis.toUnit(start) * width));
    const to = Math.min(columns, Math.max(from + 1, Math.ceil(axis.toUnit(start + (model.duration[node] ?? 0)) * width)));
    const lane = busy[model.serviceOf[node] ?? 0];
    const level = model.spans[node]?.status.code === "error" ? 2 : 1;
    for (let x = from; x < to && lane; x += 1) if ((lane[x] ?? 0) < level) lane[x] = level;
  }
  for (let node = 0; node < model.spans.length; node += 1) {
    const wait = model.wait[node] ?? 0;
    if (wait <= 0) continue;
    const start = model.startOffset[node] ?? 0;
    const [from, to] = [axis.toUnit(start - wait) * width, axis.toUnit(start) * width];
    const y = top + (model.serviceOf[node] ?? 0) * step;
    if (to - from > 2) hatch(context, from, y, to - from, thick, ink.wait, 4);
  }
  busy.forEach((lane, service) => {
    const colours = ["", inkOf(ink, model.services[service] ?? ""), ink.error];
    for (let x = 0; x < columns; ) {
      const level = lane[x] ?? 0;
      let end = x + 1;
      while (end < columns && lane[end] === level) end += 1;
      if (level > 0) {
        context.fillStyle = colours[level] ?? "";
        context.fillRect(x, top + service * step, Math.max(1.5, end - x), thick);
      }
      x = end;
    }
  });
}

/** Every span as a thin line, in row order. `height` is shared evenly among the rows. */
function drawRowLines(context: CanvasRenderingContext2D, model: TimelineModel, all: Rows, axis: Axis, ink: Ink, width: number, height: number): void {
  const step = Math.min(5, height / Math.max(1, all.count));
  const thick = Math.max(1, Math.min(3, step - 0.5));
  for (let row = 0; row < all.count; row += 1) {
    const node = all.node[row] ?? 0;
    if (node < 0) continue;
    const from = axis.toUnit(model.startOffset[node] ?? 0) * width;
    const to = axis.toUnit((model.startOffset[node] ?? 0) + (model.duration[node] ?? 0)) * width;
    const span = model.spans[node];
    context.fillStyle = span?.status.code === "error" ? ink.error : inkOf(ink, span?.service ?? "");
    context.fillRect(from, row * step, Math.max(1.5, to - from), thick);
  }
}
