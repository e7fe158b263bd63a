// Asks the worker where a graph's parts lie. The worker, and with it the layout library, is loaded with the first question.
import { labelWidth, sizeOf, type GraphEdge, type GraphNode, type Sized } from "./model";

export interface LayoutRequest {
  request: number;
  /** Where the drawing is to be seen. */
  frame: { width: number; height: number };
  nodes: Sized[];
  edges: { from: string; to: string; labelWidth: number }[];
}

export interface Laid {
  request: number;
  width: number;
  height: number;
  nodes: (Sized & { x: number; y: number })[];
  edges: { from: string; to: string; points: { x: number; y: number }[]; labelX: number | null; labelY: number | null }[];
}

let worker: Worker | null = null;
let asked = 0;
const waiting = new Map<number, { done: (laid: Laid) => void; failed: (error: Error) => void }>();

function started(): Worker {
  if (worker) return worker;
  worker = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", (event: MessageEvent<Laid>) => {
    waiting.get(event.data.request)?.done(event.data);
    waiting.delete(event.data.request);
  });
  worker.addEventListener("error", (event) => {
    for (const { failed } of waiting.values()) failed(new Error(event.message || "the layout could not be loaded"));
    waiting.clear();
    worker?.terminate();
    worker = null;
  });
  return worker;
}

export function layoutGraph(nodes: readonly GraphNode[], edges: readonly GraphEdge[], frame: LayoutRequest["frame"]): Promise<Laid> {
  asked += 1;
  const request: LayoutRequest = {
    request: asked,
    frame: { width: frame.width, height: frame.height },
    nodes: nodes.map(sizeOf),
    edges: edges.map((edge) => ({ from: edge.from, to: edge.to, labelWidth: labelWidth(edge.label) })),
  };
  return new Promise((done, failed) => {
    waiting.set(request.request, { done, failed });
    started().postMessage(request);
  });
}

/** What a layout depends on: while it is the same, figures may change without anything moving. */
export function shapeOf(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): string {
  return JSON.stringify([nodes.map((node) => node.id), edges.map((edge) => [edge.from, edge.to])]);
}
