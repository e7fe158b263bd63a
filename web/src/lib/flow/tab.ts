// What every way to look at a flow is given.
import type { Flow, SpanAt } from "../api/flow";
import type { TimelineSession } from "../trace/session.svelte";

export interface FlowTabProps {
  flow: Flow;
  session: TimelineSession;
  traceId: string;
  /** Where a span is found: in the time line of this flow, or in another flow. */
  hrefOf: (end: SpanAt) => string;
}
