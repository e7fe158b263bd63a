// One row's share of the canvas: a span's bar with its queue wait before it, a message that nobody took, a closed lane.
import type { MessageState } from "../api/flow";
import { formatDuration } from "../time/duration";
import { xOf, type Place, type Scene } from "./draw";
import { hatch, inkOf, type Ink } from "./ink";
import type { Extra } from "./model";

const BAR = 10;
const BAR_LEAST_PX = 2;
const DIMMED = 0.45;
const EVENTS_MOST = 200;

/** Beside the bar where there is room, else on its end; always on a little of the background, so that lines do not cross it. */
function drawLabel(context: CanvasRenderingContext2D, text: string, ink: Ink, from: number, to: number, place: Place, y: number): void {
  const width = context.measureText(text).width;
  const right = place.left + place.width;
  let x = to + 6;
  if (x + width > right) x = from - 6 - width >= place.left ? from - 6 - width : Math.min(to, right) - width - 8;
  drawPill(context, text, ink, x, y, width, String(context.fillStyle));
}

function drawPill(context: CanvasRenderingContext2D, text: string, ink: Ink, x: number, y: number, width: number, colour: string): void {
  const alpha = context.globalAlpha;
  context.globalAlpha = 0.88 * alpha;
  context.fillStyle = ink.surface;
  context.beginPath();
  context.roundRect(x - 3, y - 7.5, width + 6, 14, 3);
  context.fill();
  context.globalAlpha = alpha;
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

interface Reach {
  from: number;
  to: number;
  /** Where it would be without the edges of the window. */
  rawFrom: number;
  rawTo: number;
}

function reach(scene: Scene, place: Place, start: number, end: number): Reach {
  const rawFrom = place.left + xOf(scene.axis, scene.view, place.width, start);
  const rawTo = place.left + xOf(scene.axis, scene.view, place.width, end);
  const right = place.left + place.width;
  return { rawFrom, rawTo, from: Math.max(place.left - 4, rawFrom), to: Math.min(right + 4, Math.max(rawTo, rawFrom + BAR_LEAST_PX)) };
}

const outside = (at: Reach, place: Place) => at.rawTo < place.left || at.rawFrom > place.left + place.width;

export function drawBar(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, node: number, y: number): void {
  const { model } = scene;
  const span = model.spans[node];
  if (!span) return;
  const start = model.startOffset[node] ?? 0;
  const end = start + (model.duration[node] ?? 0);
  const middle = y + place.rowHeight / 2;
  const at = reach(scene, place, start, end);
  const works = !Number.isNaN(model.pathWorking[node]);
  const waits = !Number.isNaN(model.pathWaiting[node]);
  context.globalAlpha = scene.pathOnly && !works && !waits ? DIMMED : 1;
  const wait = model.wait[node] ?? 0;
  if (wait > 0) drawWait(context, scene, ink, place, node, reach(scene, place, start - wait, start), middle, waits);
  if (outside(at, place)) {
    if (!(wait > 0 && at.rawFrom > place.left + place.width)) drawArrowAside(context, ink, place, middle, at.rawTo < place.left ? -1 : 1);
    context.globalAlpha = 1;
    return;
  }
  if (scene.collapsed.has(node)) drawHidden(context, scene, ink, place, node, at, middle);
  context.fillStyle = inkOf(ink, span.service);
  context.beginPath();
  context.roundRect(at.from, middle - BAR / 2, Math.max(BAR_LEAST_PX, at.to - at.from), BAR, 2);
  context.fill();
  drawEvents(context, scene, ink, place, node, middle);
  if (works) {
    context.fillStyle = ink.strong;
    context.fillRect(at.from, middle - BAR / 2 - 3, Math.max(BAR_LEAST_PX, at.to - at.from), 2);
  }
  if (span.status.code === "error") {
    context.fillStyle = ink.error;
    context.fillRect(at.from, middle + BAR / 2 + 1, Math.max(4, at.to - at.from), 2);
  }
  context.fillStyle = span.status.code === "error" ? ink.error : ink.text;
  drawLabel(context, formatDuration(model.duration[node] ?? 0), ink, at.from, at.to, place, middle + 0.5);
  context.globalAlpha = 1;
}

/** Under a closed row: until when what it hides went on. */
function drawHidden(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, node: number, at: Reach, middle: number): void {
  const below = Math.min(place.left + place.width, place.left + xOf(scene.axis, scene.view, place.width, scene.model.subtreeEnd[node] ?? 0));
  const alpha = context.globalAlpha;
  context.globalAlpha = 0.35 * alpha;
  context.fillStyle = inkOf(ink, scene.model.spans[node]?.service ?? "");
  context.fillRect(at.from, middle - 1, Math.max(0, below - at.from), 2);
  context.globalAlpha = alpha;
}

function drawWait(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, node: number, at: Reach, middle: number, onPath: boolean): void {
  if (outside(at, place) || at.rawTo - at.rawFrom < 1) return;
  const hop = scene.model.hops[scene.model.hopOf[node] ?? -1];
  const colour = onPath ? ink.strong : ink.wait;
  drawHatchedBar(context, ink, at, middle, colour);
  if (onPath) {
    context.fillStyle = ink.strong;
    for (let x = at.from; x < at.to; x += 5) context.fillRect(x, middle - BAR / 2 - 3, Math.min(3, at.to - x), 2);
  }
  if (!hop) return;
  const length = formatDuration(scene.model.wait[node] ?? 0);
  const texts = [`${clippedName(hop.destination.name)} · ${length}`, length];
  for (const text of texts) {
    const width = context.measureText(text).width;
    if (width + 18 > at.to - at.from) continue;
    drawPill(context, text, ink, (at.from + at.to - width) / 2, middle + 0.5, width, ink.text);
    return;
  }
}

const clippedName = (name: string) => (name.length > 40 ? `${Array.from(name).slice(0, 39).join("")}…` : name);

function drawHatchedBar(context: CanvasRenderingContext2D, ink: Ink, at: Reach, middle: number, colour: string): void {
  const [x, width] = [at.from, at.to - at.from];
  context.fillStyle = ink.surface;
  context.fillRect(x, middle - 4, width, 8);
  hatch(context, x, middle - 4, width, 8, colour, 5);
  context.fillStyle = colour;
  const alpha = context.globalAlpha;
  context.globalAlpha = alpha * 0.55;
  context.fillRect(x, middle - 4.5, width, 1);
  context.fillRect(x, middle + 3.5, width, 1);
  context.globalAlpha = alpha;
}

function drawArrowAside(context: CanvasRenderingContext2D, ink: Ink, place: Place, y: number, side: -1 | 1): void {
  const x = side < 0 ? place.left + 4 : place.left + place.width - 4;
  context.fillStyle = ink.faint;
  context.beginPath();
  context.moveTo(x + 3 * side, y);
  context.lineTo(x - 2 * side, y - 3);
  context.lineTo(x - 2 * side, y + 3);
  context.fill();
}

function drawEvents(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, node: number, middle: number): void {
  const events = scene.model.spans[node]?.events ?? [];
  context.fillStyle = ink.surface;
  for (const event of events.slice(0, EVENTS_MOST)) {
    const at = Number(BigInt(event.time_unix_nano) - scene.model.startNs);
    const x = place.left + xOf(scene.axis, scene.view, place.width, at);
    if (x >= place.left && x <= place.left + place.width) context.fillRect(x - 0.5, middle - BAR / 2 + 1, 1.5, BAR - 2);
  }
}

export function stateInk(ink: Ink, state: MessageState): string {
  const inks: Partial<Record<MessageState, string>> = { late: ink.late, lost: ink.lost, dead_lettered: ink.dead, pending: ink.pending };
  return inks[state] ?? ink.wait;
}

/** A message that nobody is known to have received: it still waits, or where it went is not known. */
export function drawMessage(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, extra: Extra & { kind: "message" }, y: number): void {
  const { model } = scene;
  const hop = model.hops[extra.hop];
  if (!hop) return;
  const sent = (model.startOffset[extra.sender] ?? 0) + (model.duration[extra.sender] ?? 0);
  const middle = y + place.rowHeight / 2;
  const colour = stateInk(ink, hop.state);
  const open = hop.state === "pending" || hop.state === "late" || hop.state === "lost";
  const at = reach(scene, place, sent, open ? model.durationNs : sent);
  context.globalAlpha = scene.pathOnly ? DIMMED : 1;
  if (outside(at, place)) {
    drawArrowAside(context, ink, place, middle, at.rawTo < place.left ? -1 : 1);
  } else if (open && at.to - at.from > 12) {
    drawHatchedBar(context, ink, at, middle, colour);
    drawEnd(context, ink, at.to - 2, middle, colour);
  } else {
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(at.from, middle);
    context.lineTo(at.from + 22, middle);
    context.stroke();
    context.setLineDash([]);
    drawEnd(context, ink, at.from + 27, middle, colour);
  }
  context.globalAlpha = 1;
}

/** An open end: the message has not come to anybody. */
function drawEnd(context: CanvasRenderingContext2D, ink: Ink, x: number, y: number, colour: string): void {
  context.fillStyle = ink.surface;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}

/** All spans of a closed lane in one row. What lies within what is drawn already is left out. */
export function drawLane(context: CanvasRenderingContext2D, scene: Scene, ink: Ink, place: Place, extra: Extra & { kind: "lane" }, y: number, closed: boolean): void {
  if (!closed) return;
  const { model } = scene;
  const middle = y + place.rowHeight / 2;
  let covered = -Infinity;
  for (const node of extra.children) {
    if (node < 0) continue;
    const start = model.startOffset[node] ?? 0;
    const wait = model.wait[node] ?? 0;
    if (wait > 0) {
      const at = reach(scene, place, start - wait, start);
      if (!outside(at, place) && at.rawTo - at.rawFrom > 1) hatch(context, at.from, middle - 3, at.to - at.from, 6, ink.wait, 5);
    }
    const at = reach(scene, place, start, start + (model.duration[node] ?? 0));
    const error = model.spans[node]?.status.code === "error";
    if (outside(at, place) || (at.to <= covered && !error)) continue;
    context.fillStyle = inkOf(ink, extra.service);
    context.fillRect(Math.max(at.from, covered), middle - 6, Math.max(BAR_LEAST_PX, at.to - Math.max(at.from, covered)), 12);
    if (error) {
      context.fillStyle = ink.error;
      context.fillRect(at.from, middle + 7, Math.max(4, at.to - at.from), 2);
    }
    covered = Math.max(covered, at.to);
  }
}
