// What one open trace view has chosen: collapsed nodes, the row under the cursor, the time window, folding, find.
// Derives rows and axis from it. The model itself never changes; a newer reading makes a new session that continues the old one.
import { idleIntervals, makeAxis, WHOLE, worthFolding, type Axis, type Interval, type View } from "./axis";
import { readView, writeView } from "./viewparam";
import { findSpans } from "./find";
import type { Node, TraceModel } from "./model";
import { buildRows, childrenOf, parentNode, reveal, rowOf, toggled, type Rows } from "./rows";

export class TraceSession {
  readonly idle: Interval[];
  readonly gaps: Interval[];
  readonly idleNs: number;
  collapsed = $state.raw<ReadonlySet<Node>>(new Set());
  active = $state<Node | null>(null);
  view = $state.raw<View>(WHOLE);
  folding = $state(true);
  findText = $state("");
  readonly rows: Rows;
  readonly axis: Axis;
  readonly matches: readonly number[];
  readonly matchSet: ReadonlySet<number>;
  readonly activeRow: number;

  constructor(readonly model: TraceModel) {
    this.idle = idleIntervals(model.startOffset, model.duration, model.durationNs);
    this.gaps = worthFolding(this.idle, model.durationNs);
    this.idleNs = this.idle.reduce((sum, gap) => sum + gap.to - gap.from, 0);
    this.rows = $derived(buildRows(model, this.collapsed));
    this.axis = $derived(makeAxis(model.durationNs, this.folding ? this.gaps : []));
    this.matches = $derived(findSpans(model.spans, this.findText));
    this.matchSet = $derived(new Set(this.matches));
    this.activeRow = $derived(this.active === null ? -1 : rowOf(this.rows, this.active));
  }

  /** The span with this id, as a node; null when the trace does not have it. */
  nodeOf(spanId: string | null): Node | null {
    if (spanId === null) return null;
    const index = this.model.spans.findIndex((span) => span.span_id === spanId);
    return index >= 0 ? index : null;
  }

  /** Makes a node the active one and opens whatever hides it. */
  activate(node: Node): void {
    this.collapsed = reveal(this.model, this.collapsed, node);
    this.active = node;
  }

  toggle(node: Node): void {
    if (childrenOf(this.model, node).length === 0) return;
    this.collapsed = toggled(this.collapsed, node);
    // The cursor must not stay on a row that has just been hidden.
    if (this.active !== null && rowOf(this.rows, this.active) < 0) this.active = node;
  }

  /** Moves by rows; from nowhere to the first row. */
  step(by: number): void {
    const count = this.rows.count;
    if (count === 0) return;
    const at = this.activeRow < 0 ? (by > 0 ? -1 : 0) : this.activeRow;
    const row = Math.min(Math.max(0, at + by), count - 1);
    this.active = this.rows.node[row] ?? null;
  }

  /** Left: collapse, or go to the parent. */
  left(): void {
    if (this.active === null) return;
    if (childrenOf(this.model, this.active).length > 0 && !this.collapsed.has(this.active)) this.toggle(this.active);
    else this.active = parentNode(this.model, this.active) ?? this.active;
  }

  /** Right: expand, or go to the first child. */
  right(): void {
    if (this.active === null) return;
    if (this.collapsed.has(this.active)) this.toggle(this.active);
    else this.active = childrenOf(this.model, this.active)[0] ?? this.active;
  }

  /** The next (1) or previous (-1) of `nodes` in row order, counted from the active row; wraps around. */
  seek(nodes: readonly number[], direction: 1 | -1): Node | null {
    if (nodes.length === 0) return null;
    const all = buildRows(this.model, new Set());
    const wanted = new Set(nodes);
    const from = this.active === null ? (direction === 1 ? -1 : 0) : rowOf(all, this.active);
    for (let step = 1; step <= all.count; step += 1) {
      const node = all.node[(((from + direction * step) % all.count) + all.count) % all.count] ?? 0;
      if (wanted.has(node)) return node;
    }
    return null;
  }

  /** Goes on where `before` was, on a newer reading of the same trace. Nodes are matched by span id, times as times. */
  continueFrom(before: TraceSession): void {
    this.folding = before.folding;
    this.findText = before.findText;
    this.view = readView(writeView(before.view, before.axis), this.axis);
    const renumber = new Map(this.model.spans.map((span, index) => [span.span_id, index]));
    const groups = new Map(this.model.missing.map((group, index) => [group.parentSpanId, ~index]));
    const now = (node: Node): Node | undefined =>
      node >= 0 ? renumber.get(before.model.spans[node]?.span_id ?? "") : groups.get(before.model.missing[~node]?.parentSpanId ?? "");
    this.collapsed = new Set([...before.collapsed].flatMap((node) => now(node) ?? []));
    this.active = before.active === null ? null : (now(before.active) ?? null);
  }

  /** A window around one span with a little room at both sides. */
  viewOf(node: Node): View {
    if (node < 0) return WHOLE;
    const from = this.axis.toUnit(this.model.startOffset[node] ?? 0);
    const to = this.axis.toUnit((this.model.startOffset[node] ?? 0) + (this.model.duration[node] ?? 0));
    const room = Math.max((to - from) * 0.08, 25 * this.axis.unitPerNs);
    return { from: Math.max(0, from - room), to: Math.min(1, to + room) };
  }

  /** Folding changes what units mean, so the window is carried over as times. */
  setFolding(on: boolean): void {
    const from = this.axis.toTime(this.view.from);
    const to = this.axis.toTime(this.view.to);
    const whole = this.view === WHOLE;
    this.folding = on;
    this.view = whole ? WHOLE : { from: this.axis.toUnit(from), to: this.axis.toUnit(to) };
  }
}
