// Links of a trace, by the span of this trace they belong to. Outgoing ones come from the spans themselves (they are there
// at once); the API adds names and whether the other side has arrived, and all incoming ones. Pure.
import type { Attribute, LinkEnd, TraceLink, TraceLinks } from "../api/types";
import type { TraceModel } from "./model";

export interface SpanLinkView {
  other: LinkEnd;
  attributes: Attribute[];
  evidence: string;
  /** False until the API has said whether the other side was received. */
  known: boolean;
}

export interface LinksOfSpan {
  out: SpanLinkView[];
  in: SpanLinkView[];
}

export type LinkIndex = ReadonlyMap<string, LinksOfSpan>;

export const NO_LINKS: LinksOfSpan = { out: [], in: [] };

const view = (link: TraceLink, other: LinkEnd): SpanLinkView => ({
  other,
  attributes: link.attributes,
  evidence: link.evidence,
  known: true,
});

export function indexLinks(model: TraceModel, answer: TraceLinks | null): LinkIndex {
  const index = new Map<string, LinksOfSpan>();
  const of = (spanId: string): LinksOfSpan => {
    let entry = index.get(spanId);
    if (!entry) index.set(spanId, (entry = { out: [], in: [] }));
    return entry;
  };
  for (const link of answer?.incoming ?? []) of(link.from.span_id).in.push(view(link, link.to));
  for (const link of answer?.outgoing ?? []) of(link.to.span_id).out.push(view(link, link.from));
  for (const span of model.spans) {
    for (const link of span.links) {
      const out = of(span.span_id).out;
      const told = out.some((one) => one.other.trace_id === link.trace_id && one.other.span_id === link.span_id);
      if (told) continue;
      const other = { trace_id: link.trace_id, span_id: link.span_id, service: null, name: null, received: false };
      out.push({ other, attributes: link.attributes, evidence: "link", known: false });
    }
  }
  return index;
}
