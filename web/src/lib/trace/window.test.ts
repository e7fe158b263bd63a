import { describe, expect, it } from "vitest";
import { rowWindow, scrollToShow } from "./window";

const options = { rowHeight: 20, count: 1_000, overscan: 5, block: 10 };

describe("rowWindow", () => {
  it("covers the viewport and the overscan", () => {
    // No blank row can be seen between two scroll events.
    for (let top = 0; top <= 19_600; top += 7) {
      const { first, last } = rowWindow(top, 400, options);
      expect(first).toBeLessThanOrEqual(Math.max(0, Math.floor(top / 20) - 5));
      expect(last).toBeGreaterThanOrEqual(Math.min(1_000, Math.ceil((top + 400) / 20) + 5));
    }
  });

  it("moves in blocks", () => {
    // Scrolling within a block leaves the window, and so the canvas, alone.
    expect(rowWindow(2_000, 400, options)).toEqual(rowWindow(2_079, 400, options));
  });

  it("stays within the rows", () => {
    // Overscroll, an empty list and an unmeasured viewport ask for no row that is not there.
    expect(rowWindow(-50, 400, options).first).toBe(0);
    expect(rowWindow(1e9, 400, options).last).toBe(1_000);
    expect(rowWindow(0, 400, { ...options, count: 0 })).toEqual({ first: 0, last: 0 });
    expect(rowWindow(0, 0, options)).toEqual({ first: 0, last: 0 });
  });
});

describe("scrollToShow", () => {
  it("moves only when the row is out of sight, and then just enough", () => {
    // Walking down the rows does not make the page jump.
    expect(scrollToShow(50, 900, 400, 20)).toBe(900);
    expect(scrollToShow(10, 900, 400, 20)).toBe(160);
    expect(scrollToShow(90, 900, 400, 20)).toBe(1_460);
    expect(scrollToShow(0, 900, 400, 20)).toBe(0);
  });
});
