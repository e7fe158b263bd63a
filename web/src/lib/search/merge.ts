// A live refresh brings the newest page again: new traces on top, known ones brought up to date, older ones kept. Pure.
import type { TraceSummary } from "../api/types";

export function mergeNewest(shown: readonly TraceSummary[], newest: readonly TraceSummary[]): TraceSummary[] {
  const fresh = new Set(newest.map((item) => item.trace_id));
  return [...newest, ...shown.filter((item) => !fresh.has(item.trace_id))];
}

export function appendPage(shown: readonly TraceSummary[], page: readonly TraceSummary[]): TraceSummary[] {
  const known = new Set(shown.map((item) => item.trace_id));
  return [...shown, ...page.filter((item) => !known.has(item.trace_id))];
}
