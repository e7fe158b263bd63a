// Links by the span they belong to. Spans' own links are there at once, and so are those between spans that are here; the API
// adds whether others have arrived, what they are called, and links of spans elsewhere that lead here. Pure.
import type { Attribute, LinkEnd, TraceLink, TraceLinks } from "../api/types";
import { traceOfSpan, type TimelineModel } from "./model";

export interface SpanLinkView {
  other: LinkEnd;
  attributes: Attribute[];
  evidence: string;
  /** False until it is known whether the other side was received. */
  known: boolean;
}

export interface LinksOfSpan {
  out: SpanLinkView[];
  in: SpanLinkView[];
}

/** By trace and span id, see `linkKey`. */
export type LinkIndex = ReadonlyMap<string, LinksOfSpan>;

export const NO_LINKS: LinksOfSpan = { out: [], in: [] };
export const linkKey = (traceId: string, spanId: string) => `${traceId}.${spanId}`;

const view = (link: TraceLink, other: LinkEnd): SpanLinkView => ({
  other,
  attributes: link.attributes,
  evidence: link.evidence,
  known: true,
});

/** The links of one span, with what the API says of them; without an answer, as far as it is known here. */
export function withAnswer(model: TimelineModel, index: LinkIndex, node: number, answer: TraceLinks | null): LinksOfSpan {
  const key = linkKey(traceOfSpan(model, node), model.spans[node]?.span_id ?? "");
  const known = index.get(key) ?? NO_LINKS;
  if (answer === null) return known;
  const places = (links: SpanLinkView[]) => new Set(links.map((link) => linkKey(link.other.trace_id, link.other.span_id)));
  const out = answer.outgoing.filter((link) => linkKey(link.to.trace_id, link.to.span_id) === key).map((link) => view(link, link.from));
  const incoming = answer.incoming.filter((link) => linkKey(link.from.trace_id, link.from.span_id) === key).map((link) => view(link, link.to));
  const [toldOut, toldIn] = [places(out), places(incoming)];
  const untold = (links: SpanLinkView[], told: Set<string>) => links.filter((link) => !told.has(linkKey(link.other.trace_id, link.other.span_id)));
  return { out: [...out, ...untold(known.out, toldOut)], in: [...incoming, ...untold(known.in, toldIn)] };
}

export function indexLinks(model: TimelineModel, answer: TraceLinks | null): LinkIndex {
  const index = new Map<string, LinksOfSpan>();
  const of = (traceId: string, spanId: string): LinksOfSpan => {
    const key = linkKey(traceId, spanId);
    let entry = index.get(key);
    if (!entry) index.set(key, (entry = { out: [], in: [] }));
    return entry;
  };
  for (const link of answer?.incoming ?? []) of(link.from.trace_id, link.from.span_id).in.push(view(link, link.to));
  for (const link of answer?.outgoing ?? []) of(link.to.trace_id, link.to.span_id).out.push(view(link, link.from));
  const end = (at: number): LinkEnd => ({
    trace_id: traceOfSpan(model, at), span_id: model.spans[at]?.span_id ?? "", service: model.spans[at]?.service ?? null, name: model.spans[at]?.name ?? null, received: true,
  });
  /** Each link once a side: what the API has told is not repeated. */
  const told = new Set<string>();
  const isNew = (side: "in" | "out", from: string, to: string) => {
    const key = `${side} ${from} ${to}`;
    return !told.has(key) && Boolean(told.add(key));
  };
  for (const link of answer?.incoming ?? []) isNew("in", linkKey(link.from.trace_id, link.from.span_id), linkKey(link.to.trace_id, link.to.span_id));
  for (const link of answer?.outgoing ?? []) isNew("out", linkKey(link.from.trace_id, link.from.span_id), linkKey(link.to.trace_id, link.to.span_id));
  model.spans.forEach((span, at) => {
    if (span.links.length === 0) return;
    const me = linkKey(traceOfSpan(model, at), span.span_id);
    for (const link of span.links) {
      const here = model.index.find(link.trace_id, link.span_id);
      const cause = linkKey(link.trace_id, link.span_id);
      if (isNew("out", cause, me)) {
        const other = here >= 0 ? end(here) : { trace_id: link.trace_id, span_id: link.span_id, service: null, name: null, received: false };
        of(traceOfSpan(model, at), span.span_id).out.push({ other, attributes: link.attributes, evidence: "link", known: here >= 0 });
      }
      if (here >= 0 && isNew("in", cause, me)) of(link.trace_id, link.span_id).in.push({ other: end(at), attributes: link.attributes, evidence: "link", known: true });
    }
  });
  return index;
}
