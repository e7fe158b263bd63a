// The service map as a graph: names for its nodes, figures on its lines, and which lines stand out. Pure.
import type { MapEdge, Peer, ServiceMap } from "../api/messaging";
import type { GraphEdge, GraphNode, Tone } from "../graph/model";
import { splitKey } from "../destinations/figures";
import { formatDuration } from "../time/duration";
import { formatCount, formatCompact, formatShare } from "../time/number";

/** What the colour of a line tells. */
export type Colouring = "errors" | "wait";

export const idOf = (peer: Peer) => `${peer.kind}:${peer.name}`;

export function peerOf(id: string): Peer | null {
  const at = id.indexOf(":");
  const kind = id.slice(0, at);
  const known = ["service", "destination", "database", "cache", "host"] as const;
  const found = known.find((one) => one === kind);
  return found ? { kind: found, name: id.slice(at + 1) } : null;
}

const ERROR_SHARE = 0.01;
/** A line waits long when its p95 is this long, whatever the others do. */
const WAIT_LONG_NS = 10e9;
const WAIT_VERY_LONG_NS = 60e9;

export function toneOf(edge: MapEdge, by: Colouring): Tone {
  if (by === "errors") {
    if (edge.errors === 0 || edge.count === 0) return "plain";
    return edge.errors / edge.count >= ERROR_SHARE ? "error" : "wait";
  }
  const wait = edge.from.kind === "destination" ? (edge.duration.p95_ns ?? 0) : 0;
  return wait >= WAIT_VERY_LONG_NS ? "error" : wait >= WAIT_LONG_NS ? "wait" : "plain";
}

function labelOf(edge: MapEdge, by: Colouring): string {
  const count = formatCompact(edge.count);
  if (by === "errors") return edge.errors > 0 ? `${count} · ${formatShare(edge.errors, edge.count)}` : count;
  return edge.duration.p95_ns === null ? count : `${count} · ${formatDuration(edge.duration.p95_ns)}`;
}

function titleOf(edge: MapEdge): string {
  const measured = edge.from.kind === "destination" ? "waited" : "took";
  const time = edge.duration.p95_ns === null ? "" : `\n19 of 20 ${measured} ${formatDuration(edge.duration.p95_ns)} or less`;
  return `${edge.from.name} → ${edge.to.name}\n${formatCount(edge.count)}, ${formatCount(edge.errors)} failed${time}`;
}

export function graphOf(map: ServiceMap, by: Colouring): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const named = (peer: Peer): GraphNode => {
    if (peer.kind !== "destination") return { id: idOf(peer), kind: peer.kind, name: peer.name };
    const { system, name } = splitKey(peer.name);
    return { id: idOf(peer), kind: "destination", name, note: system };
  };
  const nodes = map.nodes.map(named).sort((a, b) => (a.id < b.id ? -1 : 1));
  const edges = map.edges.map((edge) => ({
    from: idOf(edge.from),
    to: idOf(edge.to),
    label: labelOf(edge, by),
    title: titleOf(edge),
    tone: toneOf(edge, by),
    weight: edge.count,
  }));
  return { nodes, edges };
}
