// Which nodes are visible, in which order and how deep: one pre-order pass over the forest, or over a part of it. Pure.
import { NONE, type Node, type TimelineModel } from "./model";

export interface Rows {
  /** Span index, or `~extra`. */
  node: Int32Array;
  depth: Uint16Array;
  count: number;
  /** The greatest depth of any row. */
  deepest: number;
  /** The row of each span and of each extra; -1 for what is not visible. */
  spanRow: Int32Array;
  extraRow: Int32Array;
}

const DEEPEST = 65_535;

export function childrenOf(model: TimelineModel, node: Node): readonly Node[] {
  return (node >= 0 ? model.children[node] : model.extras[~node]?.children) ?? [];
}

/** With `kept`, only spans that are marked there (and rows that are no spans where they have such below them) are rows. */
export function buildRows(model: TimelineModel, collapsed: ReadonlySet<Node>, roots: readonly Node[] = model.roots, kept: Uint8Array | null = null): Rows {
  const most = model.spans.length + model.extras.length;
  const node = new Int32Array(most);
  const depth = new Uint16Array(most);
  const spanRow = new Int32Array(model.spans.length).fill(-1);
  const extraRow = new Int32Array(model.extras.length).fill(-1);
  const stack: Node[] = [];
  const depths: number[] = [];
  let count = 0;
  let deepest = 0;
  const push = (list: readonly Node[], level: number) => {
    for (let index = list.length - 1; index >= 0; index -= 1) {
      const at = list[index] ?? 0;
      if (kept !== null && (at < 0 ? !childrenOf(model, at).some((child) => kept[child] === 1) : kept[at] !== 1)) continue;
      stack.push(at);
      depths.push(level);
    }
  };
  push(roots, 0);
  while (stack.length > 0) {
    const at = stack.pop() ?? 0;
    const level = depths.pop() ?? 0;
    node[count] = at;
    depth[count] = Math.min(level, DEEPEST);
    if (level > deepest) deepest = level;
    if (at >= 0) spanRow[at] = count;
    else extraRow[~at] = count;
    count += 1;
    if (!collapsed.has(at)) push(childrenOf(model, at), level + 1);
  }
  return { node, depth, count, deepest, spanRow, extraRow };
}

export function rowOf(rows: Rows, node: Node): number {
  return (node >= 0 ? rows.spanRow[node] : rows.extraRow[~node]) ?? -1;
}

/** The node above in the tree; null at the top. */
export function parentNode(model: TimelineModel, node: Node): Node | null {
  const up = (node >= 0 ? model.parent[node] : model.extras[~node]?.parent) ?? NONE;
  return up === NONE ? null : up;
}

/** The row of a node, or of what hides it; -1 when that is not in this part of the forest. */
export function shownRow(model: TimelineModel, rows: Rows, node: Node): number {
  for (let at: Node | null = node; at !== null; at = parentNode(model, at)) {
    const row = rowOf(rows, at);
    if (row >= 0) return row;
  }
  return -1;
}

/** `collapsed` without any node above `node`, so that it is visible. The same set when nothing hides it. */
export function reveal(model: TimelineModel, collapsed: ReadonlySet<Node>, node: Node): ReadonlySet<Node> {
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
export function branches(model: TimelineModel, from = 0): Set<Node> {
  const rows = buildRows(model, new Set());
  const found = new Set<Node>();
  for (let row = 0; row < rows.count; row += 1) {
    const node = rows.node[row] ?? 0;
    if ((rows.depth[row] ?? 0) >= from && childrenOf(model, node).length > 0) found.add(node);
  }
  return found;
}

/** What is on the critical path, and all above it. */
export function keptOnPath(model: TimelineModel): Uint8Array {
  const kept = new Uint8Array(model.spans.length);
  for (let index = 0; index < kept.length; index += 1) {
    if (Number.isNaN(model.pathWorking[index]) && Number.isNaN(model.pathWaiting[index])) continue;
    for (let at: Node | null = index; at !== null && (at < 0 || kept[at] === 0); at = parentNode(model, at)) if (at >= 0) kept[at] = 1;
  }
  return kept;
}

/** Whether `node` is `above` or stands below it. */
export function isWithin(model: TimelineModel, node: Node, above: Node): boolean {
  for (let at: Node | null = node; at !== null; at = parentNode(model, at)) if (at === above) return true;
  return false;
}
