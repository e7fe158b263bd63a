import { describe, expect, it } from "vitest";
import { buildRows } from "../trace/rows";
import type { TimelineModel } from "../trace/model";
import { flowModel, hopOf } from "./fixture";

/** Rows as text: one dash a level, then what stands there. */
function drawn(model: TimelineModel): string[] {
  const rows = buildRows(model, new Set());
  return Array.from({ length: rows.count }, (_, row) => {
    const node = rows.node[row] ?? 0;
    const extra = model.extras[~node];
    const name = node >= 0 ? model.spans[node]?.span_id : extra?.kind === "missing" ? `missing ${extra.why} ${extra.spanId}` : extra?.kind;
    return `${"-".repeat(rows.depth[row] ?? 0)}${name}`;
  });
}

const LINK = (span_id: string, trace_id = "t") => ({ trace_id, span_id });

describe("a flow as rows", () => {
  it("hangs a consumer's trace below the span that sent", () => {
    // Whoever opens a flow sees the effect below its cause, across traces, with how long it waited.
    const model = flowModel(
      [{ id: "root", for: 20 }, { id: "send", parent: "root", at: 5, for: 5 }, { id: "take", trace: "u", at: 100 }, { id: "write", trace: "u", parent: "take", at: 102 }],
      { hops: [hopOf("send", "take", { traces: ["t", "u"], queue_wait_ns: 90 })] },
    );
    expect(drawn(model)).toEqual(["root", "-send", "--take", "---write"]);
    expect([...model.wait]).toEqual([0, 0, 90, 0]);
    expect(model.ties).toEqual([{ from: 1, to: 2, hop: 0 }]);
  });

  it("keeps spans that already stand below their sender where they are", () => {
    // A broker's or a library's span between sender and receiver is not torn out.
    const model = flowModel([{ id: "send" }, { id: "poll", parent: "send", at: 1 }, { id: "take", parent: "poll", at: 2 }], { hops: [hopOf("send", "take", { evidence: "parent" })] });
    expect(drawn(model)).toEqual(["send", "-poll", "--take"]);
  });

  it("draws attempts one from the other and counts them", () => {
    // The second attempt waits from the first one's end, so that is where its line begins; both stand below the sender.
    const hops = [hopOf("send", "a"), hopOf("send", "b", { attempt: 2 }), hopOf("send", "c", { attempt: 3, state: "dead_lettered" })];
    const model = flowModel([{ id: "send" }, { id: "a", at: 20 }, { id: "b", at: 40 }, { id: "c", at: 60 }], { hops });
    expect(drawn(model)).toEqual(["send", "-a", "-b", "-c"]);
    expect(model.ties.map((tie) => tie.from)).toEqual([0, 1, 2]);
    expect([...model.attempts]).toEqual([3, 3, 3]);
  });

  it("shows a message that nobody took below its sender", () => {
    // What did not happen has a row of its own.
    const model = flowModel([{ id: "send", for: 10 }, { id: "after", parent: "send", at: 50 }], { hops: [hopOf("send", null, { state: "late" })] });
    expect(drawn(model)).toEqual(["send", "-message", "-after"]);
  });

  it("gathers: a receiver of several messages stands below the first, tied to all", () => {
    // Fan-in has one row and several lines.
    const model = flowModel([{ id: "root", for: 99 }, { id: "one", parent: "root", at: 1 }, { id: "two", parent: "root", at: 2 }, { id: "sum", trace: "u", at: 50 }], {
      hops: [hopOf("one", "sum", { traces: ["t", "u"] }), hopOf("two", "sum", { traces: ["t", "u"] })],
    });
    expect(drawn(model)).toEqual(["root", "-one", "--sum", "-two"]);
    expect(model.ties.map((tie) => [tie.from, tie.to])).toEqual([[1, 3], [2, 3]]);
  });

  it("names what has not arrived: parents, senders and the other ends of links", () => {
    // A hole is shown where it is, once; a parent outside the flow (a consumer that polls for all) is none.
    const model = flowModel(
      [
        { id: "root", links: [LINK("gone", "x")] },
        { id: "orphan", parent: "lost", at: 5 },
        { id: "take", trace: "u", at: 9 },
        { id: "part", trace: "v", parent: "poll", at: 20, links: [LINK("root")] },
      ],
      { hops: [hopOf("nobody", "take", { traces: ["w", "u"], from: { trace_id: "w", span_id: "nobody", service: null } })], not_received: [LINK("lost"), LINK("gone", "x"), LINK("nobody", "w")] },
    );
    expect(drawn(model)).toEqual(["root", "-missing link gone", "-missing parent lost", "--orphan", "-part", "missing sender nobody", "-take"]);
  });

  it("says how many other messages a batch took", () => {
    // A batch of three, of which one belongs to this flow.
    const links = [LINK("send"), LINK("s1", "x"), LINK("s2", "y")];
    const siblings = [LINK("s1", "x"), LINK("s2", "y")].map((one) => ({ ...one, destination: { system: "kafka", name: "orders" }, message_id: null }));
    const model = flowModel([{ id: "send" }, { id: "batch", trace: "u", at: 20, links }], { hops: [hopOf("send", "batch", { traces: ["t", "u"] })], batch_siblings: siblings });
    expect(drawn(model)).toEqual(["send", "-batch", "--siblings"]);
    const extra = model.extras.find((one) => one.kind === "siblings");
    expect(extra?.kind === "siblings" && extra.siblings.length).toBe(2);
  });

  it("ends however links and hops are wired", () => {
    // Two spans that each say the other sent their message are both shown, once.
    const model = flowModel([{ id: "a", links: [LINK("b")] }, { id: "b", at: 1, links: [LINK("a")] }], { hops: [hopOf("a", "b"), hopOf("b", "a"), hopOf("a", "a")] });
    expect(drawn(model)).toEqual(["a", "-b"]);
  });

  it("tells spans with one id in two traces apart", () => {
    // Ids are unique within a trace only.
    const model = flowModel([{ id: "x" }, { id: "x", trace: "u", at: 30 }], { hops: [hopOf("x", "x", { traces: ["t", "u"] })], critical_path: [{ trace_id: "u", span_id: "x", self_ns: 7, kind: "waiting" }] });
    expect(drawn(model)).toEqual(["x", "-x"]);
    expect([...model.pathWaiting]).toEqual([NaN, 7]);
  });
});
