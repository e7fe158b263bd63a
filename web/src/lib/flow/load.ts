// Reads a flow: first what it is, then its spans by pages. What is there is handed over early and again as it doubles, so
// that a large flow can be read before all of it has come. Keeps nothing.
import { api } from "../api/client";
import type { FlowSpan } from "../api/flow";
import type { Resource, Scope } from "../api/types";
import type { FlowMaterial } from "./weave";

const FIRST_PAGE = 2_000;
const PAGE = 25_000;

export async function loadFlow(traceId: string, spanId: string | null, signal: AbortSignal, show: (material: FlowMaterial, whole: boolean) => void): Promise<void> {
  // Side by side: the first page does not depend on the answer about the whole.
  const [flow, first] = await Promise.all([
    api.flow(traceId, spanId, signal),
    api.flowSpans(traceId, { span_id: spanId, limit: FIRST_PAGE }, signal),
  ]);
  const spans: FlowSpan[] = [];
  const resources: Resource[] = [];
  const scopes: Scope[] = [];
  const shown = new Set<string>();
  let page = first;
  let told = 0;
  for (;;) {
    const [scopeBase, resourceBase] = [scopes.length, resources.length];
    resources.push(...page.resources);
    for (const scope of page.scopes) scopes.push({ ...scope, resource: scope.resource + resourceBase });
    for (const span of page.items) {
      // A span that arrived in between may be on two pages.
      const key = `${span.trace_id}.${span.span_id}.${span.kind}.${span.service}`;
      if (shown.has(key)) continue;
      shown.add(key);
      span.scope += scopeBase;
      spans.push(span);
    }
    const cursor = page.next_cursor;
    const whole = cursor === null;
    // On its way while what is here is put together.
    const coming = whole ? null : api.flowSpans(traceId, { span_id: spanId, limit: PAGE, cursor }, signal);
    coming?.catch(() => undefined);
    if (whole || told === 0 || spans.length >= told * 8) {
      told = spans.length;
      show({ flow, spans: whole ? spans : spans.slice(), resources, scopes }, whole);
    }
    if (!coming) return;
    page = await coming;
  }
}
