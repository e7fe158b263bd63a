// What one open trace or flow has chosen: arrangement, collapsed nodes, the row under the cursor, the part that is shown, the time
// window, folding, find. Derives rows and axis from it. The model never changes; a newer reading makes a new session that goes on.
import { idleIntervals, makeAxis, WHOLE, worthFolding, type Axis, type Interval, type View } from "./axis";
import { findSpans } from "./find";
import { byService } from "./lanes";
import { NONE, traceOfSpan, type Extra, type Node, type TimelineModel } from "./model";
import { buildRows, childrenOf, isWithin, keptOnPath, parentNode, reveal, rowOf, toggled, type Rows } from "./rows";
import { readView, writeView } from "./viewparam";

const extraKey = (extra: Extra | undefined, model: TimelineModel): string => {
  if (!extra) return "";
  if (extra.kind === "lane") return `lane ${extra.service}`;
  if (extra.kind === "missing") return `missing ${extra.traceId}.${extra.spanId}`;
  return `${extra.kind} ${model.spans[extra.parent]?.span_id ?? ""} ${"hop" in extra ? (model.hops[extra.hop]?.destination.name ?? "") : ""}`;
};

export class TimelineSession {
  readonly idle: Interval[];
  readonly gaps: Interval[];
  readonly idleNs: number;
  readonly hasPath: boolean;
  collapsed = $state.raw<ReadonlySet<Node>>(new Set());
  active = $state<Node | null>(null);
  view = $state.raw<View>(WHOLE);
  folding = $state(true);
  findText = $state("");
  /** Rows grouped by service instead of by cause. */
  lanes = $state(false);
  /** Only this node and what is below it. */
  top = $state<Node | null>(null);
  /** Only what is on the critical path, and what is above that. */
  pathOnly = $state(false);
  readonly model: TimelineModel;
  readonly rows: Rows;
  readonly axis: Axis;
  readonly matches: readonly number[];
  readonly matchSet: ReadonlySet<number>;
  readonly activeRow: number;

  constructor(readonly base: TimelineModel) {
    this.idle = idleIntervals(base.startOffset, base.duration, base.durationNs);
    this.gaps = worthFolding(this.idle, base.durationNs);
    this.idleNs = this.idle.reduce((sum, gap) => sum + gap.to - gap.from, 0);
    this.hasPath = (base.flow?.critical_path.length ?? 0) > 0;
    this.model = $derived(this.lanes ? byService(base) : base);
    this.rows = $derived(
      buildRows(this.model, this.collapsed, this.top === null || this.lanes ? this.model.roots : [this.top], this.pathOnly && !this.lanes ? keptOnPath(base) : null),
    );
    this.axis = $derived(makeAxis(base.durationNs, this.folding ? this.gaps : []));
    this.matches = $derived(findSpans(base.spans, this.findText));
    this.matchSet = $derived(new Set(this.matches));
    this.activeRow = $derived(this.active === null ? -1 : rowOf(this.rows, this.active));
  }

  /** The span with this id, as a node; null when it is not here. Without a trace, the first of any trace. */
  nodeOf(spanId: string | null, traceId: string | null = null): Node | null {
    if (spanId === null) return null;
    const { base } = this;
    const index = traceId === null ? base.index.find(base.traceId, spanId) : base.index.find(traceId, spanId);
    if (index >= 0) return index;
    if (traceId !== null) return null;
    const any = base.spans.findIndex((span) => span.span_id === spanId);
    return any >= 0 ? any : null;
  }

  /** Makes a node the active one and opens whatever hides it. */
  activate(node: Node): void {
    this.collapsed = reveal(this.model, this.collapsed, node);
    if (this.top !== null && !isWithin(this.model, node, this.top)) this.top = null;
    this.active = node;
    if (this.pathOnly && rowOf(this.rows, node) < 0) this.pathOnly = false;
  }

  toggle(node: Node): void {
    if (childrenOf(this.model, node).length === 0) return;
    this.collapsed = toggled(this.collapsed, node);
    // The cursor must not stay on a row that has just been hidden.
    if (this.active !== null && rowOf(this.rows, this.active) < 0) this.active = node;
  }

  /** Shows only what is below a span, at a time window of its own; null shows all again. */
  reroot(node: Node | null): void {
    this.lanes = false;
    this.top = node;
    this.view = node === null ? WHOLE : this.viewOf(node, true);
    if (node !== null) this.active = node;
  }

  showPath(on: boolean): void {
    if (on && !this.hasPath) return;
    this.lanes = false;
    this.pathOnly = on;
    if (this.active !== null && rowOf(this.rows, this.active) < 0) this.active = this.rows.node[0] ?? null;
  }

  /** Lanes begin closed: each is one row then, with all of its bars. */
  arrange(lanes: boolean): void {
    const active = this.active;
    this.lanes = lanes;
    this.collapsed = lanes ? new Set(this.model.roots) : new Set();
    if (active !== null && !lanes) this.activate(active < this.base.spans.length && active >= ~(this.base.extras.length - 1) ? active : 0);
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
    else if (this.active !== this.top) this.active = parentNode(this.model, this.active) ?? this.active;
  }

  /** Right: expand, or go to the first child. */
  right(): void {
    if (this.active === null) return;
    if (this.collapsed.has(this.active)) this.toggle(this.active);
    else this.active = childrenOf(this.model, this.active)[0] ?? this.active;
  }

  /** The next (1) or previous (-1) of `nodes` in row order, counted from the active row; wraps around. */
  seek(nodes: readonly Node[], direction: 1 | -1): Node | null {
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

  /** Goes on where `before` was, on a newer reading of the same. Nodes are matched by what they stand for, times as times. */
  continueFrom(before: TimelineSession): void {
    this.folding = before.folding;
    this.findText = before.findText;
    this.lanes = before.lanes;
    this.pathOnly = before.pathOnly;
    this.view = readView(writeView(before.view, before.axis), this.axis);
    const extras = new Map(this.model.extras.map((extra, index) => [extraKey(extra, this.model), ~index]));
    const now = (node: Node): Node | undefined => {
      if (node < 0) return extras.get(extraKey(before.model.extras[~node], before.model));
      const index = this.base.index.find(traceOfSpan(before.base, node), before.base.spans[node]?.span_id ?? "");
      return index >= 0 ? index : undefined;
    };
    this.collapsed = new Set([...before.collapsed].flatMap((node) => now(node) ?? []));
    this.active = before.active === null ? null : (now(before.active) ?? null);
    this.top = before.top === null ? null : (now(before.top) ?? null);
  }

  /** A window around one span, with its wait, or around all below it, with a little room at both sides. */
  viewOf(node: Node, below = false): View {
    const at = node >= 0 ? node : (this.base.extras[~node]?.parent ?? NONE);
    if (at < 0) return WHOLE;
    const start = this.base.startOffset[at] ?? 0;
    const end = below ? (this.base.subtreeEnd[at] ?? start) : start + (this.base.duration[at] ?? 0);
    const from = this.axis.toUnit(Math.max(0, start - (this.base.wait[at] ?? 0)));
    const to = this.axis.toUnit(end);
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
