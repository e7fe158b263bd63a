// What is chosen in a flow, as it stands in the address: `span` (with `in`, its trace, where that is not the one in the path), or
// `row` for what is no span. `at` is where the flow was opened: a batch belongs to several flows. Pure.
import { traceOfSpan, type Extra, type Node, type TimelineModel } from "../trace/model";

export type Params = Record<string, string | null>;

/** The span to open the flow at; null for the origin of its trace. */
export function openedAt(params: URLSearchParams): string | null {
  return params.get("at") ?? (params.get("in") === null ? params.get("span") : null);
}

function rowName(model: TimelineModel, extra: Extra): string | null {
  if (extra.kind === "missing") return `missing.${extra.traceId}.${extra.spanId}`;
  if (extra.kind === "lane") return null;
  const span = model.spans[extra.kind === "message" ? extra.sender : extra.parent];
  if (extra.kind === "siblings") return `batch.${span?.span_id ?? ""}`;
  return `message.${span?.span_id ?? ""}.${extra.hop}`;
}

/** The parameters that choose `node`; null when it cannot be chosen. */
export function selectionOf(model: TimelineModel, node: Node, pathTrace: string): Params | null {
  if (node >= 0) {
    const trace = traceOfSpan(model, node);
    return { span: model.spans[node]?.span_id ?? null, in: trace === pathTrace ? null : trace, row: null };
  }
  const extra = model.extras[~node];
  const name = extra ? rowName(model, extra) : null;
  return name === null ? null : { span: null, in: null, row: name };
}

/** The node that the address chooses; null when it chooses none, or one that is not here. */
export function selectedNode(model: TimelineModel, params: URLSearchParams, pathTrace: string): Node | null {
  const span = params.get("span");
  if (span !== null) {
    const index = model.index.find(params.get("in") ?? pathTrace, span.toLowerCase());
    return index >= 0 ? index : null;
  }
  const row = params.get("row");
  if (row === null) return null;
  const found = model.extras.findIndex((extra) => rowName(model, extra) === row);
  return found >= 0 ? ~found : null;
}

export const NOTHING_CHOSEN: Params = { span: null, in: null, row: null };

export function flowHref(traceId: string, spanId: string | null = null): string {
  return spanId === null ? `/flow/${traceId}` : `/flow/${traceId}?span=${spanId}`;
}
