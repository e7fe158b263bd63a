import { describe, expect, it } from "vitest";
import { traceOf } from "./fixture";
import { buildModel } from "./model";
import { branches, buildRows, parentNode, reveal, rowOf, toggled } from "./rows";

const model = buildModel(
  traceOf([
    { id: "a", for: 100 },
    { id: "b", parent: "a", at: 1 },
    { id: "c", parent: "b", at: 2 },
    { id: "d", parent: "a", at: 3 },
    { id: "orphan", parent: "gone", at: 4 },
  ]),
);
const shown = (collapsed: ReadonlySet<number>) => {
  const rows = buildRows(model, collapsed);
  return Array.from({ length: rows.count }, (_, row) => [rows.node[row], rows.depth[row]]);
};

describe("rows", () => {
  it("are the forest in pre-order, with a row for the parent that is missing", () => {
    // Each span once, under its parent; what was not received is shown, not hidden.
    expect(shown(new Set())).toEqual([[0, 0], [1, 1], [2, 2], [3, 1], [~0, 0], [4, 1]]);
  });

  it("leave out what is collapsed", () => {
    // Collapsing hides all descendants and nothing else.
    expect(shown(new Set([1]))).toEqual([[0, 0], [1, 1], [3, 1], [~0, 0], [4, 1]]);
    expect(shown(new Set([0, ~0]))).toEqual([[0, 0], [~0, 0]]);
  });

  it("can be found again, and a hidden node is made visible", () => {
    // A link into a collapsed tree opens exactly the way to its span.
    const collapsed = new Set([0, 1, ~0]);
    const open = reveal(model, collapsed, 2);
    expect([...open]).toEqual([~0]);
    expect(rowOf(buildRows(model, open), 2)).toBe(2);
    expect(rowOf(buildRows(model, collapsed), 2)).toBe(-1);
    expect(reveal(model, open, 2)).toBe(open);
  });

  it("know the way up, over the missing parent too", () => {
    // The left arrow leads from an orphan to the row that stands for its parent.
    expect([parentNode(model, 2), parentNode(model, 0), parentNode(model, 4), parentNode(model, ~0)]).toEqual([1, null, ~0, null]);
  });

  it("toggle without changing the set they are given", () => {
    // State is replaced, never edited in place.
    const before: ReadonlySet<number> = new Set([1]);
    expect([[...toggled(before, 1)], [...toggled(before, 0)], [...before]]).toEqual([[], [1, 0], [1]]);
  });

  it("collapse all from a depth on", () => {
    // "Collapse all" keeps the top level open.
    expect(branches(model, 1)).toEqual(new Set([1]));
    expect(branches(model)).toEqual(new Set([0, 1, ~0]));
  });
});
