// The colours and the canvas that everything drawn shares. Read once a theme: asking for computed styles while rows change
// would make the browser lay out twice.
import { colourIndex, PALETTE_SIZE } from "../colour/services";

export interface Ink {
  services: string[];
  text: string;
  strong: string;
  faint: string;
  line: string;
  idle: string;
  accent: string;
  error: string;
  surface: string;
  wait: string;
  tie: string;
  late: string;
  lost: string;
  dead: string;
  pending: string;
  font: string;
}

export function readInk(): Ink {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    services: Array.from({ length: PALETTE_SIZE }, (_, index) => of(`--svc-${index}`)),
    text: of("--text-2"),
    strong: of("--text"),
    faint: of("--text-3"),
    line: of("--line"),
    idle: of("--line"),
    accent: of("--answer"),
    error: of("--error"),
    surface: of("--surface"),
    wait: of("--wait"),
    tie: of("--graph-line"),
    late: of("--late"),
    lost: of("--lost"),
    dead: of("--dead"),
    pending: of("--pending"),
    font: `11px ${of("--font")}`,
  };
}

export const inkOf = (ink: Ink, service: string): string => ink.services[colourIndex(service)] ?? ink.faint;

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

/** Diagonal lines within a rectangle: time in which nothing was done. */
export function hatch(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, colour: string, gap: number): void {
  if (width <= 0) return;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  // Counted from a fixed origin, so that the hatching of neighbours lines up.
  for (let at = Math.floor((x - height) / gap) * gap; at < x + width; at += gap) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
  }
  context.stroke();
  context.restore();
}
