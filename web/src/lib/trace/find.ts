// Find within a trace: a plain, case-insensitive text search over what the rows and the details show. Pure.
import type { Attribute, Span } from "../api/types";

function attributesContain(attributes: Attribute[], needle: string): boolean {
  return attributes.some((attribute) => {
    const text = typeof attribute.value === "string" ? attribute.value : JSON.stringify(attribute.value);
    return attribute.key.toLowerCase().includes(needle) || (text ?? "").toLowerCase().includes(needle);
  });
}

export function spanMatches(span: Span, needle: string): boolean {
  return (
    span.name.toLowerCase().includes(needle) ||
    span.service.toLowerCase().includes(needle) ||
    span.span_id === needle ||
    span.status.message.toLowerCase().includes(needle) ||
    attributesContain(span.attributes, needle) ||
    span.events.some((event) => event.name.toLowerCase().includes(needle) || attributesContain(event.attributes, needle))
  );
}

/** Indexes of the spans that contain `text`, in the order of `spans`. */
export function findSpans(spans: Span[], text: string): number[] {
  const needle = text.trim().toLowerCase();
  if (needle === "") return [];
  const found: number[] = [];
  spans.forEach((span, index) => {
    if (spanMatches(span, needle)) found.push(index);
  });
  return found;
}
