import { describe, expect, it } from "vitest";
import { START, traceOf, type SpanGiven } from "./fixture";
import { buildModel, NONE } from "./model";
import { buildRows } from "./rows";

const parents = (given: SpanGiven[]) => {
  const model = buildModel(traceOf(given));
  return Object.fromEntries(model.spans.map((span, index) => [span.span_id, model.spans[model.parent[index] ?? -1]?.span_id ?? null]));
};

describe("buildModel", () => {
  it("finds parents whatever the order of arrival", () => {
    // A child that comes before its parent is attached to it.
    expect(parents([{ id: "c", parent: "b" }, { id: "b", parent: "a" }, { id: "a" }])).toEqual({ a: null, b: "a", c: "b" });
  });

  it("orders children by start", () => {
    // Siblings stand in the order in which they began, not in which they arrived.
    const model = buildModel(traceOf([{ id: "a", for: 100 }, { id: "late", parent: "a", at: 50 }, { id: "early", parent: "a", at: 5 }]));
    expect(model.children[0]?.map((index) => model.spans[index]?.span_id)).toEqual(["early", "late"]);
  });

  it("gathers the children of a parent that was not received", () => {
    // Orphans of one parent share one group, and nothing is lost.
    const model = buildModel(traceOf([{ id: "a", parent: "gone", at: 3 }, { id: "b", parent: "gone", at: 1 }, { id: "c", parent: "away" }]));
    expect(model.extras.map((extra) => [extra.kind === "missing" && extra.spanId, extra.children])).toEqual([["gone", [1, 0]], ["away", [2]]]);
    expect(model.roots).toEqual([~1, ~0]);
  });

  it("cuts rings of parents at their earliest span", () => {
    // However parents are wired, every span is in the forest exactly once and building it ends.
    const model = buildModel(traceOf([{ id: "a", parent: "c", at: 5 }, { id: "b", parent: "a", at: 2 }, { id: "c", parent: "b", at: 9 }, { id: "x", parent: "a", at: 6 }]));
    expect(model.roots).toEqual([1]);
    const rows = buildRows(model, new Set());
    expect([...rows.node.subarray(0, rows.count)].sort()).toEqual([0, 1, 2, 3]);
  });

  it("takes a span that is its own parent as a root", () => {
    // The shortest ring of all.
    expect(parents([{ id: "a", parent: "a" }, { id: "b", parent: "a" }])).toEqual({ a: null, b: "a" });
  });

  it("puts the answering side of a shared span under the calling side", () => {
    // Zipkin's two sides of a call have one id; children go to the side of their own service.
    const model = buildModel(
      traceOf([
        { id: "r", service: "web", for: 100 },
        { id: "s", parent: "r", service: "api", kind: "server", at: 2 },
        { id: "s", parent: "r", service: "web", kind: "client", at: 1 },
        { id: "q", parent: "s", service: "api", at: 3 },
      ]),
    );
    expect([...model.parent]).toEqual([NONE, 2, 0, 1]);
  });

  it("keeps nanoseconds exact beside a start that a float could not hold", () => {
    // Offsets are taken as integers before they become numbers.
    const model = buildModel(traceOf([{ id: "a", at: 0 }, { id: "b", parent: "a", at: 1 }, { id: "c", parent: "a", at: 123_456_789 }]));
    expect([...model.startOffset]).toEqual([0, 1, 123_456_789]);
    expect(model.startNs).toBe(START);
  });

  it("counts descendants and knows when a subtree ends", () => {
    // A collapsed row says how much it hides and until when that ran.
    const model = buildModel(traceOf([{ id: "a", for: 10 }, { id: "b", parent: "a", at: 5, for: 5 }, { id: "c", parent: "b", at: 90, for: 20 }]));
    expect([...model.descendants]).toEqual([2, 1, 0]);
    expect([...model.subtreeEnd]).toEqual([110, 110, 110]);
  });

  it("builds a deep chain of 50,000 spans without recursion", () => {
    // Depth is the sender's to choose; the stack must not depend on it.
    const chain = Array.from({ length: 50_000 }, (_, index) => ({ id: `s${index}`, parent: index === 0 ? null : `s${index - 1}`, at: index }));
    const model = buildModel(traceOf(chain));
    expect(model.descendants[0]).toBe(49_999);
    expect(buildRows(model, new Set()).depth[49_999]).toBe(49_999);
  });
});
