import { describe, expect, it } from "vitest";
import { idleIntervals, makeAxis, niceStep, panned, ticks, WHOLE, worthFolding, zoomed } from "./axis";
import { readView, writeView } from "./viewparam";

const S = 1e9;

describe("idle time", () => {
  it("is what no span covers", () => {
    // Overlapping and nested spans leave no idle time between them.
    const idle = idleIntervals(Float64Array.of(0, 5, 50, 52), Float64Array.of(10, 10, 10, 2), 100);
    expect(idle).toEqual([{ from: 15, to: 50 }, { from: 60, to: 100 }]);
  });

  it("is folded where it is long, and left where it is short", () => {
    // Two hours between 20 ms and 5 ms of work fold; a breath does not.
    const folds = worthFolding([{ from: 10, to: 12 }, { from: 20, to: 7_200 }], 7_205);
    expect(folds).toEqual([{ from: 20, to: 7_200 }]);
  });
});

describe("the folded axis", () => {
  const axis = makeAxis(7_200 * S, [{ from: 1 * S, to: 7_199 * S }]);

  it("goes there and back", () => {
    // A place on the screen is one time and a time one place, inside folds too.
    for (const ns of [0, 0.5 * S, 1 * S, 3_000 * S, 7_199 * S, 7_199.9 * S, 7_200 * S]) {
      expect(axis.toTime(axis.toUnit(ns)) / S).toBeCloseTo(ns / S, 6);
    }
    expect(axis.toUnit(7_200 * S)).toBeCloseTo(1);
  });

  it("never turns time around", () => {
    // Later is further right, always.
    let before = -1;
    for (let ns = 0; ns <= 7_200 * S; ns += 3.7 * S) {
      const unit = axis.toUnit(ns);
      expect(unit).toBeGreaterThanOrEqual(before);
      before = unit;
    }
  });

  it("gives the work nearly all the room", () => {
    // One second of work before and after two hours of waiting gets almost half of the width each.
    expect(axis.toUnit(1 * S)).toBeGreaterThan(0.45);
  });

  it("has round ticks, the ends of its folds, and none inside", () => {
    // A label inside a fold would claim a scale that is not there.
    const found = ticks(axis, WHOLE, 1_000, 90);
    expect(found.some((tick) => tick.ns > 1 * S && tick.ns < 7_199 * S)).toBe(false);
    expect(found.some((tick) => tick.ns === 7_199 * S)).toBe(true);
    expect(found.slice(0, 3).map((tick) => tick.ns / S)).toEqual([0, 0.2, 0.4]);
  });
});

describe("the window of time", () => {
  const axis = makeAxis(10 * S);

  it("zooms around a fixed point and stays within the trace", () => {
    // What is under the pointer stays there; the window never leaves the trace.
    const view = zoomed(axis, WHOLE, 0.5, 0.25);
    expect(view).toEqual({ from: 0.125, to: 0.625 });
    expect(zoomed(axis, view, 100, 0.5)).toEqual(WHOLE);
    expect(panned(view, 5)).toEqual({ from: 0.5, to: 1 });
    expect(panned(view, -5)).toEqual({ from: 0, to: 0.5 });
  });

  it("is written in the address and read back", () => {
    // A shared address shows the same stretch of time; nonsense shows all of it.
    const view = { from: 0.2, to: 0.4 };
    const text = writeView(view, axis);
    expect(text).toBe("2000000000-4000000000");
    expect(readView(text, axis)).toEqual(view);
    expect(writeView(WHOLE, axis)).toBeNull();
    expect(readView("9-1", axis)).toEqual(WHOLE);
    expect(readView("<script>", axis)).toEqual(WHOLE);
  });

  it("has steps people count in", () => {
    // 1, 2, 5 below a minute; minutes and hours above.
    expect([niceStep(3), niceStep(0.2), niceStep(7e6), niceStep(45e9), niceStep(4_000e9)]).toEqual([5, 1, 1e7, 60e9, 7_200e9]);
  });
});
