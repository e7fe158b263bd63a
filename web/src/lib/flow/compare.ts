// Two flows side by side: where did this one wait or work longer? Steps are aligned by what they are, not by when they ran: the
// chain of destinations and services from the root. Pure.
import type { Flow, Hop } from "../api/flow";
import { parseInstant } from "../time/instant";
import { NONE, type TimelineModel } from "../trace/model";

export interface Step {
  /** Services and destinations from the root to here. */
  path: string[];
  kind: "hop" | "work";
  service: string;
  name: string;
  destination: string | null;
  /** Sums over all that share the path; null where a flow does not have it. */
  a: Sum | null;
  b: Sum | null;
  /** b minus a, ns; what only one has counts in full. */
  deltaNs: number;
}

export interface Sum {
  count: number;
  ns: number;
  errors: number;
}

const PATH_MOST = 64;

/** The chain of services and hops above each span; within a service nothing is added, so that inner changes do not tear it. */
function pathsOf(model: TimelineModel): string[][] {
  const paths: string[][] = new Array<string[]>(model.spans.length);
  const resolve = (first: number) => {
    const way: number[] = [];
    let at = first;
    while (at >= 0 && !paths[at]) {
      way.push(at);
      const up = model.parent[at] ?? NONE;
      at = up >= 0 ? up : up === NONE ? -1 : (model.extras[~up]?.parent ?? -1);
    }
    for (let step = way.length - 1; step >= 0; step -= 1) {
      const index = way[step] ?? 0;
      const above = at >= 0 ? (paths[at] ?? []) : [];
      paths[index] = extended(model, index, at, above);
      at = index;
    }
  };
  for (let index = 0; index < model.spans.length; index += 1) resolve(index);
  return paths;
}

function extended(model: TimelineModel, index: number, up: number, above: string[]): string[] {
  const span = model.spans[index];
  const hop = model.hops[model.hopOf[index] ?? -1];
  const changes = up < 0 || model.spans[up]?.service !== span?.service || hop !== undefined;
  if (!changes || above.length >= PATH_MOST) return above;
  const group = hop?.consumer_group && hop.consumer_group !== span?.service ? ` (${hop.consumer_group})` : "";
  return hop ? [...above, `→ ${hop.destination.name}${group}`, span?.service ?? ""] : [...above, span?.service ?? ""];
}

interface Entry {
  path: string[];
  kind: Step["kind"];
  service: string;
  name: string;
  destination: string | null;
  sum: Sum;
}

/** Time in which each span worked itself: its own time without that of children that ran within it. */
function selfTimes(model: TimelineModel): Float64Array {
  const self = model.duration.slice();
  model.children.forEach((children, index) => {
    const start = model.startOffset[index] ?? 0;
    const end = start + (model.duration[index] ?? 0);
    let until = start;
    for (const child of children) {
      if (child < 0 || model.hopOf[child] !== -1) continue;
      const from = Math.max(until, model.startOffset[child] ?? 0);
      const to = Math.min(end, (model.startOffset[child] ?? 0) + (model.duration[child] ?? 0));
      if (to <= from) continue;
      self[index] = (self[index] ?? 0) - (to - from);
      until = to;
    }
  });
  return self;
}

function entriesOf(model: TimelineModel): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const paths = pathsOf(model);
  const self = selfTimes(model);
  const add = (entry: Omit<Entry, "sum">, ns: number, error: boolean) => {
    const key = JSON.stringify([entry.kind, entry.path, entry.name]);
    const known = entries.get(key) ?? { ...entry, sum: { count: 0, ns: 0, errors: 0 } };
    known.sum.count += 1;
    known.sum.ns += ns;
    known.sum.errors += error ? 1 : 0;
    entries.set(key, known);
  };
  model.spans.forEach((span, index) => {
    const path = paths[index] ?? [];
    const hop = model.hops[model.hopOf[index] ?? -1];
    const common = { path, service: span.service, destination: hop?.destination.name ?? null };
    if (hop) add({ ...common, kind: "hop", name: hop.destination.name }, hop.queue_wait_ns ?? 0, hop.state !== "consumed");
    add({ ...common, kind: "work", name: span.name, destination: null }, self[index] ?? 0, span.status.code === "error");
  });
  for (const extra of model.extras) {
    const hop: Hop | undefined = extra.kind === "message" ? model.hops[extra.hop] : undefined;
    if (extra.kind !== "message" || !hop) continue;
    const path = [...(paths[extra.sender] ?? []), `→ ${hop.destination.name}`, "(nobody)"];
    add({ path, kind: "hop", service: hop.consumer_group ?? "", name: hop.destination.name, destination: hop.destination.name }, 0, true);
  }
  return entries;
}

/** Steps of both flows, in the order of `b` and then of `a`. */
export function compareFlows(a: TimelineModel, b: TimelineModel): Step[] {
  const [left, right] = [entriesOf(a), entriesOf(b)];
  const keys = [...new Set([...right.keys(), ...left.keys()])];
  return keys.flatMap((key) => {
    const [one, two] = [left.get(key), right.get(key)];
    const any = two ?? one;
    if (!any) return [];
    const { path, kind, service, name, destination } = any;
    return [{ path, kind, service, name, destination, a: one?.sum ?? null, b: two?.sum ?? null, deltaNs: (two?.sum.ns ?? 0) - (one?.sum.ns ?? 0) }];
  });
}

export interface Total {
  name: string;
  a: number;
  b: number;
}

export function totalsOf(a: Flow, b: Flow): Total[] {
  const until = (flow: Flow, end: string) => Number(parseInstant(end) - parseInstant(flow.start_unix_nano));
  return [
    { name: "Answer", a: until(a, a.answered_unix_nano), b: until(b, b.answered_unix_nano) },
    { name: "Last effect", a: until(a, a.last_effect_unix_nano), b: until(b, b.last_effect_unix_nano) },
    { name: "Working", a: a.working_ns, b: b.working_ns },
    { name: "Waiting", a: a.waiting_ns, b: b.waiting_ns },
  ];
}
