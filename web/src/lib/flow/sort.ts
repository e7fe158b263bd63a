// The order of hops in a table. Pure.
import type { Hop, MessageState } from "../api/flow";

export const HOP_COLUMNS = ["sent", "from", "destination", "to", "state", "wait", "attempt", "evidence"] as const;
export type HopColumn = (typeof HOP_COLUMNS)[number];

const RANK: Record<MessageState, number> = { consumed: 0, unknown: 1, pending: 2, late: 3, dead_lettered: 4, lost: 5 };

function valueOf(hop: Hop, column: HopColumn, sentAt: (hop: Hop) => number): string | number {
  switch (column) {
    case "sent":
      return sentAt(hop);
    case "from":
      return hop.from.service ?? "";
    case "destination":
      return hop.destination.name;
    case "to":
      return hop.to?.service ?? "";
    case "state":
      return RANK[hop.state];
    case "wait":
      return hop.queue_wait_ns ?? -1;
    case "attempt":
      return hop.attempt;
    case "evidence":
      return hop.evidence ?? "";
  }
}

/** Sorted by a column; what is equal, or has no value, stays in the order in which it was sent. */
export function sortHops(hops: readonly Hop[], column: HopColumn, down: boolean, sentAt: (hop: Hop) => number): Hop[] {
  const keyed = hops.map((hop, place) => ({ hop, place, value: valueOf(hop, column, sentAt) }));
  const compare = (a: string | number, b: string | number) => (a < b ? -1 : a > b ? 1 : 0);
  return keyed.sort((a, b) => (down ? compare(b.value, a.value) : compare(a.value, b.value)) || a.place - b.place).map((one) => one.hop);
}
