import { describe, expect, it } from "vitest";
import { byService } from "../trace/lanes";
import { buildRows } from "../trace/rows";
import { TimelineSession } from "../trace/session.svelte";
import { openedAt, selectedNode, selectionOf } from "./address";
import { compareFlows } from "./compare";
import { messagesByState, sharesOf } from "./figures";
import { flowModel, flowOf, hopOf } from "./fixture";
import { flowGraph } from "./graph";
import { sortHops } from "./sort";

const GIVEN = [
  { id: "root", for: 20 },
  { id: "send", parent: "root", at: 5, for: 5 },
  { id: "take", trace: "u", at: 100, for: 30, service: "worker" },
  { id: "write", trace: "u", parent: "take", at: 110, for: 10, service: "worker" },
];
const HOPS = [hopOf("send", "take", { traces: ["t", "u"], queue_wait_ns: 90 }), hopOf("send", null, { destination: { system: "kafka", name: "audit" } })];

describe("what is chosen in a flow", () => {
  const model = flowModel(GIVEN, { hops: HOPS });

  it("is in the address and comes back", () => {
    // A shared address opens the same row, be it a span of another trace or a message that nobody took.
    for (const node of [0, 2, ~0]) {
      const params = new URLSearchParams();
      for (const [key, value] of Object.entries(selectionOf(model, node, "t") ?? {})) if (value !== null) params.set(key, value);
      expect(selectedNode(model, params, "t")).toBe(node);
    }
    expect(selectedNode(model, new URLSearchParams("span=<script>"), "t")).toBeNull();
  });

  it("does not change which flow an address means", () => {
    // `at` wins; a span of the path's own trace opens its flow; a span of another trace does not.
    expect(openedAt(new URLSearchParams("span=a"))).toBe("a");
    expect(openedAt(new URLSearchParams("span=a&in=u"))).toBeNull();
    expect(openedAt(new URLSearchParams("span=a&at=b"))).toBe("b");
  });
});

describe("lanes", () => {
  it("have every span once, under its service, in order of time", () => {
    // Grouping by service loses nothing, and nodes keep their numbers.
    const model = byService(flowModel(GIVEN, { hops: HOPS }));
    const rows = buildRows(model, new Set());
    const shown = Array.from(rows.node.subarray(0, rows.count), (node) => {
      const extra = model.extras[~node];
      return extra?.kind === "lane" ? extra.service : node >= 0 ? model.spans[node]?.span_id : extra?.kind;
    });
    expect(shown).toEqual(["shop", "root", "send", "message", "worker", "take", "write"]);
  });

  it("begin closed, and what is chosen stays chosen", () => {
    // A flow of nine services is nine rows; going back opens the way to the span again.
    const session = new TimelineSession(flowModel(GIVEN, { hops: HOPS }));
    session.activate(3);
    session.arrange(true);
    expect(session.rows.count).toBe(2);
    session.arrange(false);
    expect(session.active).toBe(3);
    expect(session.activeRow).toBe(4);
  });
});

describe("a part of a flow", () => {
  it("is shown from a span down, and left by whatever lies outside", () => {
    // Re-rooting hides what is above and beside; a jump to a span outside shows all again.
    const session = new TimelineSession(flowModel(GIVEN, { hops: HOPS }));
    session.reroot(3);
    expect(session.view.from).toBeGreaterThan(0);
    session.reroot(2);
    expect(session.rows.count).toBe(2);
    session.left();
    session.left();
    expect(session.active).toBe(2);
    session.activate(0);
    expect(session.top).toBeNull();
    expect(session.rows.count).toBe(4);
  });
});

describe("the critical path", () => {
  it("alone has what is on it and what is above, until something else is asked for", () => {
    // A reader of a long flow sees what the last effect waited for; a jump beside the path shows all again.
    const path = [{ trace_id: "u", span_id: "write", self_ns: 10, kind: "working" as const }];
    const session = new TimelineSession(flowModel([...GIVEN, { id: "beside", parent: "root", at: 6 }], { hops: HOPS, critical_path: path }));
    session.active = 4;
    session.showPath(true);
    expect([...session.rows.node.subarray(0, session.rows.count)]).toEqual([0, 1, 2, 3]);
    expect(session.active).toBe(0);
    session.activate(4);
    expect(session.pathOnly).toBe(false);
    expect(session.rows.count).toBe(6);
  });
});

describe("figures", () => {
  it("count a message once for each group, by its last attempt", () => {
    // Two failed attempts and a third that worked are one consumed message and two retries.
    const hops = [hopOf("s", "a", { state: "unknown" }), hopOf("s", "b", { attempt: 2, state: "unknown" }), hopOf("s", "c", { attempt: 3 }), hopOf("s", "d", { consumer_group: "others" }), hopOf("s", null, { consumer_group: null, state: "lost" })];
    expect(messagesByState(hops)).toEqual({ states: [{ state: "lost", count: 1 }, { state: "consumed", count: 2 }], total: 3, retries: 2 });
  });

  it("share the time among working, waiting and idle", () => {
    // The three are all of the time between the start and the last effect.
    const shares = sharesOf(flowOf(GIVEN, { working_ns: 60, waiting_ns: 40 }).flow);
    expect([shares.totalNs, shares.idleNs]).toEqual([130, 30]);
    expect(shares.working + shares.waiting + shares.idle).toBeCloseTo(1);
  });

  it("sort without losing the order of what is equal", () => {
    // By wait, the longest first; what has none comes last.
    const hops = [hopOf("a", null), hopOf("b", "x", { queue_wait_ns: 1 }), hopOf("c", "y", { queue_wait_ns: 9 }), hopOf("d", "z", { queue_wait_ns: 1 })];
    expect(sortHops(hops, "wait", true, () => 0).map((hop) => hop.from.span_id)).toEqual(["c", "b", "d", "a"]);
  });
});

describe("the graph of a flow", () => {
  it("has services, destinations and what went between, with its waits", () => {
    // A message to several groups is sent once; a destination says what became of its messages.
    const hops = [...HOPS, hopOf("send", "take", { traces: ["t", "u"], consumer_group: "others", queue_wait_ns: 2e9 })];
    const model = flowModel(GIVEN, { hops });
    const graph = flowGraph(model.flow!, model);
    expect(graph.nodes.map((node) => [node.name, node.note])).toEqual([["shop", "2\u00a0spans"], ["worker", "2\u00a0spans"], ["orders", "kafka · 2\u00a0messages"], ["audit", "kafka · 1 unknown"]]);
    expect(graph.edges.map((edge) => [edge.from, edge.to, edge.weight, edge.tone])).toEqual([
      ["service shop", "destination kafka:orders", 1, "plain"],
      ["destination kafka:orders", "service worker", 2, "wait"],
      ["service shop", "destination kafka:audit", 1, "plain"],
    ]);
  });
});

describe("two flows", () => {
  it("are aligned by what their steps are, and tell where one waited longer", () => {
    // The same steps at other times differ by their own length only; what only one has is named.
    const other = [...GIVEN.slice(0, 2), { ...GIVEN[2]!, at: 300 }, { ...GIVEN[3]!, at: 310, for: 25 }, { id: "mail", trace: "u", parent: "take", at: 330, service: "mailer" }];
    const a = flowModel(GIVEN, { hops: HOPS });
    const b = flowModel(other, { hops: [hopOf("send", "take", { traces: ["t", "u"], queue_wait_ns: 290 })] });
    const steps = compareFlows(a, b);
    const of = (name: string, kind = "work") => steps.find((step) => step.name === name && step.kind === kind);
    expect(of("orders", "hop")?.deltaNs).toBe(200);
    expect(of("span write")?.deltaNs).toBe(15);
    expect(of("span root")?.deltaNs).toBe(0);
    expect(of("span mail")?.a).toBeNull();
    expect(of("audit", "hop")?.b).toBeNull();
    expect(of("span take")?.path).toEqual(["shop", "→ orders (workers)", "worker"]);
  });
});
