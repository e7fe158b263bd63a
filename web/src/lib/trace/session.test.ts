import { describe, expect, it } from "vitest";
import { traceOf, type SpanGiven } from "./fixture";
import { buildModel } from "./model";
import { TimelineSession } from "./session.svelte";

const sessionOf = (given: SpanGiven[]) => new TimelineSession(buildModel(traceOf(given)));
const TREE: SpanGiven[] = [{ id: "a", for: 100 }, { id: "b", parent: "a", at: 10 }, { id: "c", parent: "b", at: 20 }, { id: "d", parent: "a", at: 40 }];

describe("the trace session", () => {
  it("moves through the visible rows and the tree", () => {
    // Arrow keys never reach a hidden row and never leave the list.
    const session = sessionOf(TREE);
    session.step(1);
    session.step(1);
    expect(session.active).toBe(1);
    session.left();
    expect([...session.collapsed]).toEqual([1]);
    session.step(1);
    expect(session.active).toBe(3);
    session.step(99);
    expect(session.active).toBe(3);
    session.left();
    expect(session.active).toBe(0);
    session.right();
    expect(session.active).toBe(1);
    session.right();
    expect(session.collapsed.size).toBe(0);
  });

  it("moves the cursor to what hides it", () => {
    // Collapsing over the active row leaves the cursor on a row that is there.
    const session = sessionOf(TREE);
    session.activate(2);
    session.toggle(0);
    expect(session.active).toBe(0);
  });

  it("finds in row order and goes round", () => {
    // Next and previous visit every match once per round.
    const session = sessionOf(TREE);
    session.findText = "SPAN";
    const visited = [0, 1, 2, 3, 4].map(() => {
      const node = session.seek(session.matches, 1);
      if (node !== null) session.activate(node);
      return node;
    });
    expect(visited).toEqual([0, 1, 2, 3, 0]);
    expect(session.seek([], 1)).toBeNull();
  });

  it("goes on where it was when late spans arrive", () => {
    // A span that comes in between changes numbers, not what the reader has chosen.
    const before = sessionOf(TREE);
    before.activate(3);
    before.collapsed = new Set([1]);
    before.folding = false;
    before.view = { from: 0.25, to: 0.5 };
    const after = sessionOf([TREE[0]!, { id: "new", parent: "a", at: 5 }, ...TREE.slice(1)]);
    after.continueFrom(before);
    expect(after.model.spans[after.active ?? -1]?.span_id).toBe("d");
    expect([...after.collapsed].map((node) => after.model.spans[node]?.span_id)).toEqual(["b"]);
    expect([after.folding, after.view]).toEqual([false, { from: 0.25, to: 0.5 }]);
  });
});
