// A line through the points that the layout gives, as an SVG path: rounded at the bends, straight into the ends. And the
// view onto the drawing: what to show at first, zooming about a point. Pure.

interface Point {
  x: number;
  y: number;
}

export function smoothPath(points: readonly Point[]): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (!first || !last) return "";
  const round = (value: number) => Math.round(value * 10) / 10;
  if (rest.length === 1) return `M${round(first.x)} ${round(first.y)}L${round(last.x)} ${round(last.y)}`;
  let path = `M${round(first.x)} ${round(first.y)}`;
  for (let index = 0; index < rest.length - 1; index += 1) {
    const bend = rest[index] as Point;
    const next = rest[index + 1] as Point;
    const end = index === rest.length - 2 ? next : { x: (bend.x + next.x) / 2, y: (bend.y + next.y) / 2 };
    path += `Q${round(bend.x)} ${round(bend.y)} ${round(end.x)} ${round(end.y)}`;
  }
  return path;
}

/** Offset and scale of the drawing within its frame. */
export interface View {
  x: number;
  y: number;
  scale: number;
}

export const SCALE_LEAST = 0.15;
export const SCALE_MOST = 2.5;
const FITTED_LEAST = 0.4;
const FITTED_MOST = 1.15;

/** Shows all of a drawing, centred; no smaller than what can be read, even if then its left part only. */
export function fit(drawing: { width: number; height: number }, frame: { width: number; height: number }): View {
  if (drawing.width === 0 || frame.width === 0) return { x: 0, y: 0, scale: 1 };
  const whole = Math.min(frame.width / drawing.width, frame.height / drawing.height, FITTED_MOST);
  const scale = Math.max(FITTED_LEAST, whole);
  const centred = (space: number, size: number) => Math.max(0, (space - size * scale) / 2);
  return { x: centred(frame.width, drawing.width), y: centred(frame.height, drawing.height), scale };
}

const PART_MARGIN_PX = 60;
const PART_MOST = 1;

/** Shows some boxes of a drawing, centred. */
export function fitPart(boxes: readonly (Point & { width: number; height: number })[], frame: { width: number; height: number }): View {
  const left = Math.min(...boxes.map((box) => box.x)) - PART_MARGIN_PX;
  const top = Math.min(...boxes.map((box) => box.y)) - PART_MARGIN_PX;
  const width = Math.max(...boxes.map((box) => box.x + box.width)) + PART_MARGIN_PX - left;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) + PART_MARGIN_PX - top;
  const scale = Math.max(SCALE_LEAST, Math.min(frame.width / width, frame.height / height, PART_MOST));
  return { scale, x: (frame.width - width * scale) / 2 - left * scale, y: (frame.height - height * scale) / 2 - top * scale };
}

/** Zooms by a factor so that the point of the frame stays over the same point of the drawing. */
export function zoomAt(view: View, factor: number, at: Point): View {
  const scale = Math.min(SCALE_MOST, Math.max(SCALE_LEAST, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by };
}
