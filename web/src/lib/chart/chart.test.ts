import { describe, expect, it } from "vitest";
import { clockLabel, COUNT_STEPS, DURATION_STEPS_NS, stacked } from "./axis";

describe("axes of time series", () => {
  it("have steps that rise", () => {
    // The drawing library looks for the first step that fits.
    for (const steps of [DURATION_STEPS_NS, COUNT_STEPS]) {
      const rising = [...steps].sort((a, b) => a - b);
      expect(steps).toEqual(rising);
      expect(new Set(steps).size).toBe(steps.length);
    }
  });

  it("say the clock as precisely as their marks lie", () => {
    // Minutes need no seconds, days no clock.
    const noon = new Date(2026, 4, 3, 12, 30, 15).getTime();
    expect(clockLabel(noon, 600_000)).toBe("12:30");
    expect(clockLabel(noon, 5_000)).toBe("12:30:15");
    expect(clockLabel(noon, 86_400_000)).toBe("3 May");
    expect(clockLabel(new Date(2026, 4, 3).getTime(), 600_000)).toBe("3 May");
  });

  it("stack what happened in the same step", () => {
    // The top of the stack is the sum; nothing counts as nothing.
    expect(stacked([[1, null], [2, 3]])).toEqual([[1, 0], [3, 3]]);
  });
});
