import { describe, expect, it } from "vitest";
import { fit, fitPart, smoothPath, zoomAt } from "./draw";
import { busiest, neighbourhood, sizeOf, strokeOf, type GraphEdge, type GraphNode } from "./model";

const node = (id: string): GraphNode => ({ id, kind: "service", name: id });
const edge = (from: string, to: string, weight = 1): GraphEdge => ({ from, to, weight });
const chain = { nodes: ["a", "b", "c", "d"].map(node), edges: [edge("a", "b", 100), edge("b", "c", 10), edge("c", "d")] };

describe("parts of a graph", () => {
  it("a neighbourhood reaches in both directions and no further", () => {
    // What is one step away is shown, with the lines in between; what is two steps away is not.
    const near = neighbourhood(chain, "b", 1);
    expect(near.nodes.map((found) => found.id)).toEqual(["a", "b", "c"]);
    expect(near.edges).toHaveLength(2);
    expect(neighbourhood(chain, "b", 2).nodes).toHaveLength(4);
    expect(neighbourhood(chain, "nobody", 1).nodes).toHaveLength(0);
  });

  it("the busiest are kept and the rest is counted", () => {
    // A graph too large to read loses its quiet corners, and says how many.
    const kept = busiest(chain, 2);
    expect(kept.nodes.map((found) => found.id)).toEqual(["a", "b"]);
    expect(kept.left).toBe(2);
    expect(busiest(chain, 10).left).toBe(0);
  });
});

describe("drawing", () => {
  it("boxes fit their text within bounds", () => {
    // A name of a megabyte makes no box of a kilometre.
    expect(sizeOf(node("x".repeat(1_000_000))).width).toBe(210);
    expect(sizeOf(node("")).width).toBe(96);
  });

  it("lines begin and end where the layout says", () => {
    // No line ends beside its box.
    const path = smoothPath([{ x: 1, y: 2 }, { x: 5, y: 2 }, { x: 9, y: 7 }]);
    expect(path.startsWith("M1 2")).toBe(true);
    expect(path.endsWith("9 7")).toBe(true);
    expect(smoothPath([])).toBe("");
  });

  it("a drawing is fitted, centred, and zoomed about the pointer", () => {
    // What lies under the pointer stays there.
    const view = fit({ width: 1000, height: 100 }, { width: 500, height: 500 });
    expect(view.scale).toBe(0.5);
    expect(view.y).toBe(225);
    const part = fitPart([{ x: 900, y: 40, width: 80, height: 20 }], { width: 500, height: 500 });
    expect([part.scale, part.x + 940, part.y + 50]).toEqual([1, 250, 250]);
    const zoomed = zoomAt(view, 2, { x: 100, y: 250 });
    const under = (one: typeof view) => (100 - one.x) / one.scale;
    expect(under(zoomed)).toBeCloseTo(under(view));
    expect(strokeOf(10, 10)).toBe(4);
    expect(strokeOf(0, 10)).toBe(1.5);
  });
});
