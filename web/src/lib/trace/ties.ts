// Lines between who sent and who received: down from the end of sending to the row of the receiver. A second sender of one
// receiver (fan-in) gets a dashed line into its bar, as the hatched wait belongs to the first.
import { xOf, type Place, type Scene } from "./draw";
import type { Ink } from "./ink";
import { shownRow } from "./rows";
import type { RowWindow } from "./window";

const DIMMED = 0.45;

export function drawTies(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, shown: RowWindow): void {
  const { model, rows } = scene;
  context.lineWidth = 1;
  for (const tie of model.ties) {
    const fromRow = shownRow(model, rows, tie.from);
    const toRow = shownRow(model, rows, tie.to);
    if (fromRow < 0 || toRow < 0 || fromRow === toRow) continue;
    if (Math.max(fromRow, toRow) < shown.first || Math.min(fromRow, toRow) >= shown.last) continue;
    drawTie(context, scene, ink, place, tie, (fromRow - shown.first) * place.rowHeight, (toRow - shown.first) * place.rowHeight);
  }
  for (let index = 0; index < model.extras.length; index += 1) {
    const extra = model.extras[index];
    const toRow = rows.extraRow[index] ?? -1;
    if (extra?.kind !== "message" || toRow < 0) continue;
    const fromRow = shownRow(model, rows, extra.sender);
    if (fromRow < 0 || Math.max(fromRow, toRow) < shown.first || Math.min(fromRow, toRow) >= shown.last) continue;
    const sent = (model.startOffset[extra.sender] ?? 0) + (model.duration[extra.sender] ?? 0);
    drawDrop(context, scene, ink, place, sent, (fromRow - shown.first) * place.rowHeight, (toRow - shown.first) * place.rowHeight, false);
  }
  context.globalAlpha = 1;
}

function drawTie(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, tie: { from: number; to: number; hop: number }, fromY: number, toY: number): void {
  const { model } = scene;
  const start = model.startOffset[tie.to] ?? 0;
  const first = model.hopOf[tie.to] === tie.hop;
  const wait = model.hops[tie.hop]?.queue_wait_ns ?? null;
  const sent = wait === null ? (model.startOffset[tie.from] ?? 0) + (model.duration[tie.from] ?? 0) : start - wait;
  const onPath = first && !Number.isNaN(model.pathWaiting[tie.to]);
  drawDrop(context, scene, ink, place, sent, fromY, toY, onPath);
  if (first && wait !== null) return;
  const middle = toY + place.rowHeight / 2;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(place.left + xOf(scene.axis, scene.view, place.width, sent), middle);
  context.lineTo(place.left + xOf(scene.axis, scene.view, place.width, start), middle);
  context.stroke();
  context.setLineDash([]);
}

function drawDrop(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, at: number, fromY: number, toY: number, onPath: boolean): void {
  const x = Math.round(place.left + xOf(scene.axis, scene.view, place.width, at)) + 0.5;
  if (x < place.left - 4 || x > place.left + place.width + 4) return;
  const half = place.rowHeight / 2;
  context.globalAlpha = scene.pathOnly && !onPath ? DIMMED : 1;
  context.strokeStyle = onPath ? ink.strong : ink.tie;
  context.fillStyle = context.strokeStyle;
  context.lineWidth = onPath ? 1.5 : 1;
  context.beginPath();
  context.moveTo(x, fromY + half);
  context.lineTo(x, toY + half);
  context.stroke();
  context.beginPath();
  context.arc(x, fromY + half, 2, 0, 2 * Math.PI);
  context.fill();
}
