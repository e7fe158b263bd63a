// Which nodes of a trace are visible, in which order and how deep: one pre-order pass over the forest. Pure.
import type { Node, TraceModel } from "./model";

export interface Rows {
  /** Span index, or `~group` for a parent that was not received. */
  node: Int32Array;
  depth: Uint16Array;
  count: number;
}

const DEEPEST = 65_535;

export function childrenOf(model: TraceModel, node: Node): number[] {
  return (node >= 0 ? model.children[node] : model.missing[~node]?.children) ?? [];
}

export function buildRows(model: TraceModel, collapsed: ReadonlySet<Node>): Rows {
  const most = model.spans.length + model.missing.length;
  const node = new Int32Array(most);
  const depth = new Uint16Array(most);
  const stack: Node[] = [];
  const depths: number[] = [];
  let count = 0;
  const push = (list: readonly Node[], level: number) => {
    for (let index = list.length - 1; index >= 0; index -= 1) {
      stack.push(list[index] ?? 0);
      depths.push(level);
    }
  };
  push(model.roots, 0);
  while (stack.length > 0) {
    const at = stack.pop() ?? 0;
    const level = depths.pop() ?? 0;
    node[count] = at;
    depth[count] = Math.min(level, DEEPEST);
    count += 1;
    if (!collapsed.has(at)) push(childrenOf(model, at), level + 1);
  }
  return { node, depth, count };
}

export function rowOf(rows: Rows, node: Node): number {
  return rows.node.subarray(0, rows.count).indexOf(node);
}

/** The node above in the tree; null at the top. */
export function parentNode(model: TraceModel, node: Node): Node | null {
  if (node < 0) return null;
  const up = model.parent[node] ?? -1;
  if (up >= 0) return up;
  const group = model.missing.findIndex((candidate) => candidate.children.includes(node));
  return group >= 0 ? ~group : null;
}

/** `collapsed` without any node above `node`, so that it is visible. The same set when nothing hides it. */
export function reveal(model: TraceModel, collapsed: ReadonlySet<Node>, node: Node): ReadonlySet<Node> {
  let open: Set<Node> | null = null;
  for (let up = parentNode(model, node); up !== null; up = parentNode(model, up)) {
    if (!collapsed.has(up)) continue;
    open ??= new Set(collapsed);
    open.delete(up);
  }
  return open ?? collapsed;
}

export function toggled(collapsed: ReadonlySet<Node>, node: Node): ReadonlySet<Node> {
  const next = new Set(collapsed);
  if (!next.delete(node)) next.add(node);
  return next;
}

/** Every node that has children, for "collapse all"; with `from`, only the ones at that depth or deeper. */
export function branches(model: TraceModel, from = 0): Set<Node> {
  const rows = buildRows(model, new Set());
  const found = new Set<Node>();
  for (let row = 0; row < rows.count; row += 1) {
    const node = rows.node[row] ?? 0;
    if ((rows.depth[row] ?? 0) >= from && childrenOf(model, node).length > 0) found.add(node);
  }
  return found;
}
