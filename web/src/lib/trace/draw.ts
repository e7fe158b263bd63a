// Paints what the waterfall and the minimap show of time: lanes, bars, marks, folds. Draws only what it is handed;
// text that must be read or focused is DOM, not here.
import { colourIndex, PALETTE_SIZE } from "../colour/services";
import { formatDuration } from "../time/duration";
import type { Axis, View } from "./axis";
import type { TraceModel } from "./model";
import type { Rows } from "./rows";
import type { RowWindow } from "./window";

export interface Ink {
  services: string[];
  text: string;
  faint: string;
  line: string;
  idle: string;
  accent: string;
  error: string;
  surface: string;
  font: string;
}

export interface Place {
  /** Left edge of the bars, px. */
  left: number;
  width: number;
  rowHeight: number;
  indent: number;
  indentMost: number;
}

export interface Scene {
  model: TraceModel;
  rows: Rows;
  collapsed: ReadonlySet<number>;
  axis: Axis;
  view: View;
  tickUnits: number[];
}

const BAR = 10;
const BAR_LEAST_PX = 2;

export function readInk(): Ink {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    services: Array.from({ length: PALETTE_SIZE }, (_, index) => of(`--svc-${index}`)),
    text: of("--text-2"),
    faint: of("--text-3"),
    line: of("--line"),
    idle: of("--line"),
    accent: of("--answer"),
    error: of("--error"),
    surface: of("--surface"),
    font: `11px ${of("--font")}`,
  };
}

/** Fits a canvas to its place in device pixels and empties it; returns the context in CSS pixels. */
export function prepare(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const wide = Math.max(1, Math.round(width * ratio));
  const high = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  // A new size means new memory, so the size is only set where it changes.
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

export function xOf(axis: Axis, view: View, width: number, ns: number): number {
  return ((axis.toUnit(ns) - view.from) / (view.to - view.from)) * width;
}

/** Where everything ends with the answer, a mark for it says nothing. */
export function answerStandsOut(model: TraceModel): boolean {
  return model.answerAt < model.durationNs * 0.999;
}

const inkOf = (ink: Ink, service: string): string => ink.services[colourIndex(service)] ?? ink.faint;

function drawFolds(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, height: number): void {
  for (const fold of scene.axis.folds) {
    const from = place.left + xOf(scene.axis, scene.view, place.width, fold.from);
    const to = place.left + xOf(scene.axis, scene.view, place.width, fold.to);
    if (to < place.left || from > place.left + place.width) continue;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, height);
    context.clip();
    context.strokeStyle = ink.idle;
    context.lineWidth = 1;
    context.beginPath();
    for (let x = from - height; x < to; x += 6) {
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
    }
    context.stroke();
    context.restore();
  }
}

function drawGrid(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, height: number): void {
  const span = scene.view.to - scene.view.from;
  context.fillStyle = ink.line;
  for (const unit of scene.tickUnits) {
    context.fillRect(Math.round(place.left + ((unit - scene.view.from) / span) * place.width), 0, 1, height);
  }
  const answer = place.left + xOf(scene.axis, scene.view, place.width, scene.model.answerAt);
  if (!answerStandsOut(scene.model) || answer < place.left || answer > place.left + place.width) return;
  context.save();
  context.strokeStyle = ink.accent;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(Math.round(answer) + 0.5, 0);
  context.lineTo(Math.round(answer) + 0.5, height);
  context.stroke();
  context.restore();
}

/** Coloured lines that lead from each span down past its descendants, one column per level. */
function drawLanes(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, row: number, y: number): void {
  const node = scene.rows.node[row] ?? 0;
  const depth = scene.rows.depth[row] ?? 0;
  let up = node >= 0 ? (scene.model.parent[node] ?? -1) : -1;
  context.globalAlpha = 0.3;
  for (let level = depth - 1; level >= 0 && up >= 0; level -= 1) {
    if (level < place.indentMost) {
      context.fillStyle = inkOf(ink, scene.model.spans[up]?.service ?? "");
      context.fillRect(8 + level * place.indent, y, 2, place.rowHeight);
    }
    up = scene.model.parent[up] ?? -1;
  }
  context.globalAlpha = 1;
  if (node < 0) return;
  context.fillStyle = inkOf(ink, scene.model.spans[node]?.service ?? "");
  context.fillRect(7 + Math.min(depth, place.indentMost) * place.indent, y + 4, 4, place.rowHeight - 8);
}

/** Beside the bar where there is room, else on its end; always on a little of the background, so that lines do not cross it. */
function drawLabel(context: CanvasRenderingContext2D, text: string, ink: Ink, from: number, to: number, place: Place, y: number): void {
  const width = context.measureText(text).width;
  const right = place.left + place.width;
  let x = to + 6;
  if (x + width > right) x = from - 6 - width >= place.left ? from - 6 - width : Math.min(to, right) - width - 8;
  const colour = context.fillStyle;
  context.globalAlpha = 0.85;
  context.fillStyle = ink.surface;
  context.beginPath();
  context.roundRect(x - 3, y - 7.5, width + 6, 14, 3);
  context.fill();
  context.globalAlpha = 1;
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

function drawBar(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, row: number, y: number): void {
  const node = scene.rows.node[row] ?? 0;
  const span = scene.model.spans[node];
  if (node < 0 || !span) return;
  const { model, axis, view } = scene;
  const start = model.startOffset[node] ?? 0;
  const end = start + (model.duration[node] ?? 0);
  const rawFrom = place.left + xOf(axis, view, place.width, start);
  const rawTo = place.left + xOf(axis, view, place.width, end);
  const middle = y + place.rowHeight / 2;
  const right = place.left + place.width;
  const outside = rawTo < place.left || rawFrom > right;
  if (outside) {
    drawArrowAside(context, ink, rawTo < place.left ? place.left + 4 : right - 4, middle, rawTo < place.left ? -1 : 1);
    return;
  }
  const from = Math.max(place.left, rawFrom);
  const to = Math.min(right, Math.max(rawTo, rawFrom + BAR_LEAST_PX));
  if (scene.collapsed.has(node)) {
    const below = Math.min(right, place.left + xOf(axis, view, place.width, model.subtreeEnd[node] ?? end));
    context.globalAlpha = 0.35;
    context.fillStyle = inkOf(ink, span.service);
    context.fillRect(from, middle - 1, Math.max(0, below - from), 2);
    context.globalAlpha = 1;
  }
  context.fillStyle = inkOf(ink, span.service);
  context.beginPath();
  context.roundRect(from, middle - BAR / 2, Math.max(BAR_LEAST_PX, to - from), BAR, 2);
  context.fill();
  drawEvents(context, scene, ink, place, node, middle);
  if (span.status.code === "error") {
    context.fillStyle = ink.error;
    context.fillRect(from, middle + BAR / 2 + 1, Math.max(4, to - from), 2);
  }
  context.fillStyle = span.status.code === "error" ? ink.error : ink.text;
  drawLabel(context, formatDuration(model.duration[node] ?? 0), ink, from, to, place, middle + 0.5);
}

function drawArrowAside(context: CanvasRenderingContext2D, ink: Ink, x: number, y: number, side: number): void {
  context.fillStyle = ink.faint;
  context.globalAlpha = 0.6;
  context.beginPath();
  context.moveTo(x + 3 * side, y);
  context.lineTo(x - 2 * side, y - 3);
  context.lineTo(x - 2 * side, y + 3);
  context.fill();
  context.globalAlpha = 1;
}

function drawEvents(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, node: number, middle: number): void {
  const events = scene.model.spans[node]?.events ?? [];
  context.fillStyle = ink.surface;
  for (const event of events.slice(0, 200)) {
    const at = Number(BigInt(event.time_unix_nano) - scene.model.startNs);
    const x = place.left + xOf(scene.axis, scene.view, place.width, at);
    if (x >= place.left && x <= place.left + place.width) context.fillRect(x - 0.5, middle - BAR / 2 + 1, 1.5, BAR - 2);
  }
}

export function drawWaterfall(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, shown: RowWindow, height: number): void {
  drawFolds(context, scene, ink, place, height);
  drawGrid(context, scene, ink, place, height);
  context.font = ink.font;
  context.textBaseline = "middle";
  for (let row = shown.first; row < shown.last; row += 1) {
    const y = (row - shown.first) * place.rowHeight;
    drawLanes(context, scene, ink, place, row, y);
    drawBar(context, scene, ink, place, row, y);
  }
}

/** Every span of the trace as a thin line, in row order. `height` is shared evenly among the rows. */
export function drawMinimap(context: CanvasRenderingContext2D, model: TraceModel, all: Rows, axis: Axis, ink: Ink, width: number, height: number): void {
  context.fillStyle = ink.idle;
  for (const fold of axis.folds) context.fillRect(fold.unitFrom * width, 0, (fold.unitTo - fold.unitFrom) * width, height);
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
