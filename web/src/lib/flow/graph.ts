// A flow as a layered graph: services and destinations, how many messages went along each line and how long they waited. Calls
// from service to service are lines too. Pure; where boxes lie is the graph's to decide.
import type { Flow, Hop } from "../api/flow";
import type { GraphEdge, GraphNode, Tone } from "../graph/model";
import { formatDuration } from "../time/duration";
import { plural } from "../time/number";
import { NONE, type TimelineModel } from "../trace/model";
import { STATE_WORDS } from "./words";

const serviceId = (name: string) => `service ${name}`;
const destinationId = (hop: { system: string; name: string }) => `destination ${hop.system}:${hop.name}`;

interface Line {
  from: string;
  to: string;
  count: number;
  errors: number;
  waits: number[];
  calls: boolean;
}

class Lines {
  readonly all = new Map<string, Line>();
  of(from: string, to: string, calls: boolean): Line {
    const key = `${from}\u0000${to}`;
    let line = this.all.get(key);
    if (!line) this.all.set(key, (line = { from, to, count: 0, errors: 0, waits: [], calls }));
    return line;
  }
}

function addCalls(lines: Lines, model: TimelineModel): void {
  const received = new Set(model.ties.map((tie) => tie.to));
  model.spans.forEach((span, index) => {
    const up = model.parent[index] ?? NONE;
    const above = up >= 0 ? model.spans[up]?.service : undefined;
    if (above === undefined || above === span.service || received.has(index) || model.hopOf[index] !== -1) return;
    const line = lines.of(serviceId(above), serviceId(span.service), true);
    line.count += 1;
    if (span.status.code === "error") line.errors += 1;
  });
}

function addHops(lines: Lines, hops: readonly Hop[]): void {
  const sent = new Set<string>();
  for (const hop of hops) {
    const message = JSON.stringify([hop.from.trace_id, hop.from.span_id, hop.message_id, hop.destination]);
    if (hop.from.service !== null) {
      const line = lines.of(serviceId(hop.from.service), destinationId(hop.destination), false);
      if (!sent.has(message)) line.count += 1;
      sent.add(message);
    }
    if (hop.to?.service == null) continue;
    const line = lines.of(destinationId(hop.destination), serviceId(hop.to.service), false);
    line.count += 1;
    if (hop.state === "dead_lettered" || hop.state === "lost") line.errors += 1;
    if (hop.queue_wait_ns !== null) line.waits.push(hop.queue_wait_ns);
  }
}

/** A wait stands out that is at least a third of the longest of the flow, and long enough to be seen. */
const WAIT_SHARE = 1 / 3;
const WAIT_LEAST_NS = 1e8;

const longestOf = (line: Line) => line.waits.reduce((most, wait) => Math.max(most, wait), 0);

function edgeOf(line: Line, longest: number): GraphEdge {
  const wait = line.waits.length > 0 ? longestOf(line) : null;
  const slow = wait !== null && wait >= WAIT_LEAST_NS && wait >= longest * WAIT_SHARE;
  const tone: Tone = line.errors > 0 ? "error" : slow ? "wait" : "plain";
  const what = plural(line.count, line.calls ? "call" : "message");
  const waited = wait === null ? "" : line.waits.length > 1 ? `, waited up to ${formatDuration(wait)}` : `, waited ${formatDuration(wait)}`;
  const label = wait === null ? (line.count > 1 ? `${line.count}×` : undefined) : `${line.count > 1 ? `${line.count} × ≤ ` : ""}${formatDuration(wait)}`;
  const errors = line.errors > 0 ? `, ${line.errors} with errors` : "";
  return { from: line.from, to: line.to, title: `${what}${waited}${errors}`, tone, weight: line.count, ...(label === undefined ? {} : { label }) };
}

function noteOf(hops: readonly Hop[]): { note: string; tone: Tone } {
  const open = hops.filter((hop) => hop.state !== "consumed");
  if (open.length === 0) return { note: plural(hops.length, "message"), tone: "plain" };
  const worst = (["lost", "dead_lettered", "late", "pending", "unknown"] as const).find((state) => open.some((hop) => hop.state === state)) ?? "unknown";
  const count = open.filter((hop) => hop.state === worst).length;
  const tone: Tone = worst === "lost" || worst === "dead_lettered" ? "error" : worst === "unknown" ? "plain" : "wait";
  return { note: `${count} ${STATE_WORDS[worst]}`, tone };
}

export function flowGraph(flow: Flow, model: TimelineModel): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const lines = new Lines();
  addHops(lines, flow.hops);
  addCalls(lines, model);
  const services = flow.services.map(({ name, spans, errors }): GraphNode => ({
    id: serviceId(name), kind: "service", name, note: errors > 0 ? `${plural(errors, "error")} of ${spans}` : plural(spans, "span"), tone: errors > 0 ? "error" : "plain",
  }));
  const known = new Map<string, { name: string; system: string; hops: Hop[] }>();
  for (const hop of flow.hops) {
    const id = destinationId(hop.destination);
    const entry = known.get(id);
    if (entry) entry.hops.push(hop);
    else known.set(id, { name: hop.destination.name, system: hop.destination.system, hops: [hop] });
  }
  const destinations = [...known].map(([id, entry]): GraphNode => {
    const { note, tone } = noteOf(entry.hops);
    return { id, kind: "destination", name: entry.name, note: `${entry.system} · ${note}`, tone };
  });
  const nodes = [...services, ...destinations];
  const ids = new Set(nodes.map((node) => node.id));
  const all = [...lines.all.values()].filter((line) => ids.has(line.from) && ids.has(line.to));
  const longest = all.reduce((most, line) => Math.max(most, longestOf(line)), 0);
  return { nodes, edges: all.map((line) => edgeOf(line, longest)) };
}
