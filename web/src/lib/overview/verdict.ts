// The one sentence of the overview: is everything healthy, and where is work stuck. Pure.
import type { Destination } from "../api/messaging";
import { formatDuration } from "../time/duration";
import { plural } from "../time/number";
import { oldestAge, type Health } from "../destinations/figures";

export interface Totals {
  pending: number;
  late: number;
  lost: number;
  deadLettered: number;
  sent: number;
}

export function totals(destinations: readonly Destination[]): Totals {
  const all: Totals = { pending: 0, late: 0, lost: 0, deadLettered: 0, sent: 0 };
  for (const { figures, now } of destinations) {
    all.pending += now.pending;
    all.late += now.late;
    all.lost += Math.max(now.lost, figures.lost);
    all.deadLettered += figures.dead_lettered;
    all.sent += figures.sent;
  }
  return all;
}

export interface Verdict {
  health: Health;
  title: string;
  text: string;
  /** The destination that needs a look first. */
  worst: Destination | null;
}

function most(destinations: readonly Destination[], measure: (one: Destination) => number): Destination | null {
  const order = [...destinations].sort((a, b) => measure(b) - measure(a));
  const first = order[0];
  return first && measure(first) > 0 ? first : null;
}

const verb = (count: number) => (count === 1 ? "is" : "are");

export function verdict(destinations: readonly Destination[], nowMs: number): Verdict {
  const all = totals(destinations);
  const lostAt = (one: Destination) => Math.max(one.now.lost, one.figures.lost);
  const worstLost = most(destinations, lostAt);
  if (worstLost) {
    const text = all.lost === lostAt(worstLost) ? "" : `${plural(lostAt(worstLost), "message")} of them at`;
    return { health: "bad", title: `${plural(all.lost, "message")} ${verb(all.lost)} lost`, text: text || "All at", worst: worstLost };
  }
  const worstLate = most(destinations, (one) => one.now.late);
  if (worstLate) {
    const age = oldestAge(worstLate.now, nowMs);
    const waits = age === null ? "Most at" : `The oldest has waited ${formatDuration(age)}; most at`;
    return { health: "warn", title: `${plural(all.late, "message")} ${verb(all.late)} late`, text: waits, worst: worstLate };
  }
  const worstDead = most(destinations, (one) => one.figures.dead_lettered);
  if (worstDead) {
    const title = `${plural(all.deadLettered, "message was", "messages were")} given up on`;
    return { health: "warn", title, text: "Most at", worst: worstDead };
  }
  const title = destinations.length === 0 ? "No messages yet" : "Every message is on time";
  const text = destinations.length === 0 ? "No sender has used a queue or topic in this stretch of time." : `Nothing is late, lost or given up on at ${plural(destinations.length, "destination")}.`;
  return { health: "good", title, text, worst: null };
}
