// Paints the time of the visible rows: folds, grid, rails of the tree, bars (bars.ts), ties between senders and receivers
// (ties.ts). Draws only what it is handed; text that must be read or focused is DOM, not here.
import type { Axis, View } from "./axis";
import { drawBar, drawLane, drawMessage } from "./bars";
import { hatch, inkOf, type Ink } from "./ink";
import type { Node, TimelineModel } from "./model";
import { NONE } from "./model";
import type { Rows } from "./rows";
import { drawTies } from "./ties";
import type { RowWindow } from "./window";

export { prepare, readInk, type Ink } from "./ink";

export interface Place {
  /** Left edge of the bars, px. */
  left: number;
  width: number;
  rowHeight: number;
  indent: number;
  indentMost: number;
}

export interface Scene {
  model: TimelineModel;
  rows: Rows;
  collapsed: ReadonlySet<Node>;
  axis: Axis;
  view: View;
  tickUnits: number[];
  /** What is not on the critical path steps back. */
  pathOnly: boolean;
}

export function xOf(axis: Axis, view: View, width: number, ns: number): number {
  return ((axis.toUnit(ns) - view.from) / (view.to - view.from)) * width;
}

/** Where everything ends with the answer, a mark for it says nothing. */
export function answerStandsOut(model: TimelineModel): boolean {
  return model.answerAt < model.durationNs * 0.999;
}

function drawFolds(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, height: number): void {
  for (const fold of scene.axis.folds) {
    const from = place.left + xOf(scene.axis, scene.view, place.width, fold.from);
    const to = place.left + xOf(scene.axis, scene.view, place.width, fold.to);
    if (to < place.left || from > place.left + place.width) continue;
    hatch(context, from, 0, to - from, height, ink.idle, 6);
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

const serviceOf = (model: TimelineModel, node: Node): string => {
  if (node >= 0) return model.spans[node]?.service ?? "";
  const extra = model.extras[~node];
  return extra?.kind === "lane" ? extra.service : (model.spans[extra?.parent ?? NONE]?.service ?? "");
};

/** Coloured lines that lead from each span down past its descendants, one column per level. */
function drawRails(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, row: number, y: number): void {
  const { model } = scene;
  const node = scene.rows.node[row] ?? 0;
  const depth = scene.rows.depth[row] ?? 0;
  const above = (at: Node): Node => (at >= 0 ? model.parent[at] : model.extras[~at]?.parent) ?? NONE;
  let up = above(node);
  context.globalAlpha = 0.3;
  for (let level = depth - 1; level >= 0 && up !== NONE; level -= 1) {
    if (level < place.indentMost) {
      context.fillStyle = inkOf(ink, serviceOf(model, up));
      context.fillRect(8 + level * place.indent, y, 2, place.rowHeight);
    }
    up = above(up);
  }
  context.globalAlpha = 1;
  if (node < 0 && model.extras[~node]?.kind !== "lane") return;
  context.fillStyle = inkOf(ink, serviceOf(model, node));
  context.fillRect(7 + Math.min(depth, place.indentMost) * place.indent, y + 4, 4, place.rowHeight - 8);
}

export function drawWaterfall(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, shown: RowWindow, height: number): void {
  drawFolds(context, scene, ink, place, height);
  drawGrid(context, scene, ink, place, height);
  context.font = ink.font;
  context.textBaseline = "middle";
  for (let row = shown.first; row < shown.last; row += 1) drawRails(context, scene, ink, place, row, (row - shown.first) * place.rowHeight);
  context.save();
  context.beginPath();
  context.rect(place.left - 6, 0, place.width + 12, height);
  context.clip();
  drawTies(context, scene, ink, place, shown);
  for (let row = shown.first; row < shown.last; row += 1) {
    const y = (row - shown.first) * place.rowHeight;
    const node = scene.rows.node[row] ?? 0;
    const extra = node < 0 ? scene.model.extras[~node] : undefined;
    if (node >= 0) drawBar(context, scene, ink, place, node, y);
    else if (extra?.kind === "lane") drawLane(context, scene, ink, place, extra, y, scene.collapsed.has(node));
    else if (extra?.kind === "message") drawMessage(context, scene, ink, place, extra, y);
  }
  context.restore();
}
