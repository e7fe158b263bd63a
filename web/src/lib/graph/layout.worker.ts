// Where the boxes and lines of a graph lie: dagre's layered layout, off the thread that draws. One message in, one out.
import { Graph, layout } from "@dagrejs/dagre";
import type { Laid, LayoutRequest } from "./layout";

const SPACING = { rankdir: "LR", nodesep: 18, edgesep: 10, ranksep: 46, marginx: 24, marginy: 24, acyclicer: "greedy", ranker: "network-simplex" };

function place({ request, nodes, edges }: LayoutRequest): Laid {
  const graph = new Graph({ directed: true });
  graph.setGraph(SPACING);
  for (const { id, width, height } of nodes) graph.setNode(id, { width, height });
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

addEventListener("message", (event: MessageEvent<LayoutRequest>) => postMessage(place(event.data)));
