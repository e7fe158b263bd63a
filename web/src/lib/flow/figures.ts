// The figures of a flow that its header and its table show: messages by state, shares of working, waiting and idle. Pure.
import type { Flow, Hop, MessageState } from "../api/flow";
import { parseInstant } from "../time/instant";

export interface Shares {
  working: number;
  waiting: number;
  idle: number;
  idleNs: number;
  totalNs: number;
}

export function sharesOf(flow: Flow): Shares {
  const total = Math.max(1, Number(parseInstant(flow.last_effect_unix_nano) - parseInstant(flow.start_unix_nano)));
  const idleNs = Math.max(0, total - flow.working_ns - flow.waiting_ns);
  const whole = Math.max(total, flow.working_ns + flow.waiting_ns);
  return { working: flow.working_ns / whole, waiting: flow.waiting_ns / whole, idle: idleNs / whole, idleNs, totalNs: total };
}

const SEVEREST: MessageState[] = ["lost", "dead_lettered", "late", "pending", "unknown", "consumed"];

const messageKey = (hop: Hop) => JSON.stringify([hop.from.trace_id, hop.from.span_id, hop.destination.system, hop.destination.name, hop.consumer_group, hop.message_id]);

/** Messages (a message counts once for each group) by state, the worst first; attempts beyond the first are retries. */
export function messagesByState(hops: readonly Hop[]): { states: { state: MessageState; count: number }[]; total: number; retries: number } {
  const last = new Map<string, Hop>();
  for (const hop of hops) {
    const key = messageKey(hop);
    const known = last.get(key);
    if (!known || hop.attempt >= known.attempt) last.set(key, hop);
  }
  const counts = new Map<MessageState, number>();
  for (const hop of last.values()) counts.set(hop.state, (counts.get(hop.state) ?? 0) + 1);
  const states = SEVEREST.flatMap((state) => (counts.has(state) ? [{ state, count: counts.get(state) ?? 0 }] : []));
  return { states, total: last.size, retries: hops.length - last.size };
}
