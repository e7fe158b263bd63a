// What a layered graph of services and destinations is made of, how large its boxes are, and the part of it around one
// node. Shared by the map and by a flow's graph. Pure; where things lie is decided in layout.worker.ts.

export type NodeKind = "service" | "destination" | "database" | "cache" | "host";
/** `wait` stands for waiting longer than others, `error` for failing; both win over `plain`. */
export type Tone = "plain" | "wait" | "error";

export interface GraphNode {
  id: string;
  kind: NodeKind;
  name: string;
  /** A second line, such as `kafka · 12 pending`. */
  note?: string;
  tone?: Tone;
}

export interface GraphEdge {
  from: string;
  to: string;
  /** Short text on the line, such as `1.2K · 40 ms`. */
  label?: string;
  /** The same at length, for the pointer and for screen readers. */
  title?: string;
  tone?: Tone;
  /** How much goes along: the width of the line, on a logarithmic scale of this graph. */
  weight?: number;
}

export interface Sized {
  id: string;
  width: number;
  height: number;
}

const CHARACTER_PX = 7.8;
const NOTE_CHARACTER_PX = 5.9;
const LABEL_CHARACTER_PX = 6;
const WIDTH_LEAST = 96;
const WIDTH_MOST = 210;

/** The box of a node: wide enough for its text, within bounds. */
export function sizeOf(node: GraphNode): Sized {
  const text = Math.max(node.name.length * CHARACTER_PX, (node.note?.length ?? 0) * NOTE_CHARACTER_PX);
  const ends = node.kind === "destination" ? 56 : 48;
  const width = Math.round(Math.min(WIDTH_MOST, Math.max(WIDTH_LEAST, text + ends)));
  return { id: node.id, width, height: node.note === undefined ? 32 : 44 };
}

export function labelWidth(label: string | undefined): number {
  return label === undefined ? 0 : Math.round(label.length * LABEL_CHARACTER_PX + 8);
}

export const edgeKey = (edge: { from: string; to: string }) => `${edge.from}\u0000${edge.to}`;

/** Width of an edge's line: 1.25 px for the least of the graph, 4 px for the most. */
export function strokeOf(weight: number | undefined, most: number): number {
  if (weight === undefined || weight <= 0 || most <= 1) return 1.5;
  return 1.25 + 2.75 * (Math.log1p(weight) / Math.log1p(most));
}

export interface Part {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

/** The nodes at most `steps` edges away from one, in either direction, and the edges between them. */
export function neighbourhood(whole: Part, id: string, steps: number): Part {
  const near = new Set([id]);
  for (let step = 0; step < steps; step += 1) {
    const found = whole.edges.filter((edge) => near.has(edge.from) || near.has(edge.to));
    for (const edge of found) near.add(edge.from).add(edge.to);
  }
  return {
    nodes: whole.nodes.filter((node) => near.has(node.id)),
    edges: whole.edges.filter((edge) => near.has(edge.from) && near.has(edge.to)),
  };
}

/** The busiest `most` nodes by what goes along their edges; the rest is counted, not drawn. */
export function busiest(whole: Part, most: number): Part & { left: number } {
  if (whole.nodes.length <= most) return { ...whole, left: 0 };
  const load = new Map<string, number>();
  const add = (id: string, weight: number) => load.set(id, (load.get(id) ?? 0) + weight);
  for (const edge of whole.edges) {
    add(edge.from, edge.weight ?? 1);
    add(edge.to, edge.weight ?? 1);
  }
  const order = [...whole.nodes].sort((a, b) => (load.get(b.id) ?? 0) - (load.get(a.id) ?? 0) || (a.id < b.id ? -1 : 1));
  const kept = new Set(order.slice(0, most).map((node) => node.id));
  return {
    nodes: whole.nodes.filter((node) => kept.has(node.id)),
    edges: whole.edges.filter((edge) => kept.has(edge.from) && kept.has(edge.to)),
    left: whole.nodes.length - kept.size,
  };
}
