// What states, evidence and relations are called where people read them. Pure.
import type { Evidence, FlowTrace, Hop, MessageState } from "../api/flow";

export const STATE_WORDS: Record<MessageState, string> = {
  consumed: "consumed",
  pending: "pending",
  late: "late",
  lost: "lost",
  dead_lettered: "dead-lettered",
  unknown: "unknown",
};

/** What a state means for the message of this hop. */
export function stateSentence(hop: Hop): string {
  if (hop.state === "unknown") return hop.to ? "The last attempt gave it back; what became of it is not known" : "Nobody is known to have received it";
  const sentences: Record<Exclude<MessageState, "unknown">, string> = {
    consumed: "Received and worked on",
    pending: "It is expected to be received, and there is still time",
    late: "It should have been received by now",
    lost: "It should have been received long ago",
    dead_lettered: "It was given up on",
  };
  return sentences[hop.state];
}

/** The mark on a row; nothing for what went as it should. */
export function stateMark(hop: Hop): string | null {
  if (hop.state === "consumed") return null;
  return hop.state === "unknown" && hop.to ? "given back" : STATE_WORDS[hop.state];
}

const EVIDENCE: Record<Evidence, string> = {
  parent: "The receiver names the sender as its parent",
  link: "The receiver links to the sender",
  broker: "The broker's own span lies between them",
  message_id: "Found by message id, not by context",
  offset: "Found by partition and offset, not by context",
  conversation_id: "Found by conversation id, not by context",
  business_key: "Found by a declared business key, not by context",
};

export const evidenceSentence = (evidence: Evidence | null): string => (evidence === null ? "Nobody is known to have received it" : EVIDENCE[evidence]);
export const evidenceWord = (evidence: Evidence | null): string => (evidence ?? "none").replaceAll("_", " ");
/** Whether the two ends were joined although the context was lost. */
export const isRepaired = (evidence: Evidence | null): boolean => evidence === "message_id" || evidence === "offset" || evidence === "conversation_id" || evidence === "business_key";

const SOURCES: Record<NonNullable<Hop["wait_source"]>, string> = {
  broker: "by the broker's timestamp",
  header: "by a header of the message",
  attribute: "as the instrumentation says",
  spans: "from the end of sending to the start of receiving",
};
export const waitSource = (hop: Hop): string => (hop.wait_source === null ? "" : hop.attempt > 1 && hop.wait_source === "spans" ? "from the end of the attempt before" : SOURCES[hop.wait_source]);

export const RELATIONS: Record<FlowTrace["relation"], string> = {
  root: "the trace of the root",
  cause: "between the root and where this was opened",
  child: "a message led to it",
  batch: "a part of it took messages of this flow",
  link: "a link leads to it",
};
