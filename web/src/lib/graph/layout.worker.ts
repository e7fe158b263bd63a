// Where the boxes and lines of a graph lie: dagre's layered layout, off the thread that draws. One message in, one out.
import { Graph, layout } from "@dagrejs/dagre";
import type { Laid, LayoutRequest } from "./layout";

const SPACING = { nodesep: 16, edgesep: 8, marginx: 20, marginy: 20, ranker: "network-simplex" };
/** Left to right reads best, so top to bottom must fit the frame clearly better to be taken. */
const SIDEWAYS_FAVOUR = 1.2;

/** Sources first, then what they lead to: cycles are then broken where work comes back, not where it begins. */
function inOrderOfWork(nodes: LayoutRequest["nodes"], edges: LayoutRequest["edges"]): LayoutRequest["nodes"] {
  const known = new Map(nodes.map((node) => [node.id, node] as const));
  const incoming = new Map<string, number>();
  for (const { to } of edges) incoming.set(to, (incoming.get(to) ?? 0) + 1);
  const starts = [...nodes].sort((a, b) => (incoming.get(a.id) ?? 0) - (incoming.get(b.id) ?? 0) || (a.id < b.id ? -1 : 1));
  const ordered = new Set<string>();
  for (const start of starts) {
    const queue = [start.id];
    for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
      if (ordered.has(at)) continue;
      ordered.add(at);
      for (const edge of edges) if (edge.from === at) queue.push(edge.to);
    }
  }
  return [...ordered].flatMap((id) => known.get(id) ?? []);
}

function place({ request, nodes, edges }: LayoutRequest, rankdir: "LR" | "TB"): Laid {
  const graph = new Graph({ directed: true });
  graph.setGraph({ ...SPACING, rankdir, ranksep: rankdir === "LR" ? 34 : 26 });
  for (const { id, width, height } of inOrderOfWork(nodes, edges)) graph.setNode(id, { width, height });
  for (const { from, to, labelWidth } of edges) {
    graph.setEdge(from, to, { width: labelWidth, height: labelWidth > 0 ? 16 : 0, labelpos: "c", weight: 1, minlen: 1 });
  }
  layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  return {
    request,
    width: size.width ?? 0,
    height: size.height ?? 0,
    nodes: nodes.map(({ id, width, height }) => {
      const at = graph.node(id) as { x: number; y: number };
      return { id, width, height, x: at.x - width / 2, y: at.y - height / 2 };
    }),
    edges: edges.map(({ from, to }) => {
      const laid = graph.edge(from, to) as { points: { x: number; y: number }[]; x?: number; y?: number };
      return { from, to, points: laid.points, labelX: laid.x ?? null, labelY: laid.y ?? null };
    }),
  };
}

/** Of both directions the one that is larger in the frame. */
function fitting(request: LayoutRequest): Laid {
  const scale = (laid: Laid) => Math.min(request.frame.width / laid.width, request.frame.height / laid.height);
  const sideways = place(request, "LR");
  if (scale(sideways) >= 1) return sideways;
  const downwards = place(request, "TB");
  return scale(downwards) > scale(sideways) * SIDEWAYS_FAVOUR ? downwards : sideways;
}

addEventListener("message", (event: MessageEvent<LayoutRequest>) => postMessage(fitting(event.data)));
