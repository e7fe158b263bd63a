// The states of a message: their names for people, and the tone each is shown in. Pure.
import type { MessageState } from "../api/messaging";

export interface StateInfo {
  state: MessageState;
  name: string;
  means: string;
  /** A colour of styles/tokens.css. */
  colour: string;
}

export const STATES: readonly StateInfo[] = [
  { state: "lost", name: "Lost", means: "overdue for so long that it will not come", colour: "var(--lost)" },
  { state: "late", name: "Late", means: "overdue", colour: "var(--late)" },
  { state: "dead_lettered", name: "Dead-lettered", means: "given up on after its attempts", colour: "var(--dead)" },
  { state: "pending", name: "Pending", means: "expected, not overdue", colour: "var(--pending)" },
  { state: "consumed", name: "Consumed", means: "everybody who is expected has it", colour: "var(--good)" },
  { state: "unknown", name: "Unknown", means: "nobody is known to receive everything from there", colour: "var(--text-3)" },
];

const known = new Map(STATES.map((info) => [info.state, info]));

export function stateInfo(state: MessageState): StateInfo {
  return known.get(state) ?? { state, name: state, means: "", colour: "var(--text-3)" };
}

/** What the evidence of a delivery means, in words. */
export const EVIDENCE: Record<string, string> = {
  parent: "the receiver's span is a child of the sender's",
  link: "the receiver's span links to the sender's",
  broker: "the broker passed it on",
  message_id: "both have the same message id; the context was lost",
  offset: "same topic, partition and offset; the context was lost",
  conversation_id: "both have the same conversation id; the context was lost",
  business_key: "both have the same business key; the context was lost",
};
