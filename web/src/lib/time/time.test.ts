import { describe, expect, it } from "vitest";
import { formatDuration, formatTick, parseDuration } from "./duration";
import { formatAgo, formatInstant, formatUtc, offsetFrom } from "./instant";
import { formatBytes, formatCount } from "./number";

const plain = (text: string) => text.replaceAll("\u202f", " ");

describe("durations", () => {
  it("have three significant figures and a unit that fits", () => {
    // No unit is skipped, and rounding never prints 1000 of the smaller one.
    const given: [number, string][] = [
      [0, "0 ns"], [999, "999 ns"], [1_500, "1.5 µs"], [999_400, "999 µs"], [999_600, "1 ms"], [12_345_678, "12.3 ms"],
      [999_600_000, "1 s"], [2_410_000_000, "2.41 s"], [59_960_000_000, "1 m"], [72e9, "1 m 12 s"], [3_599.6e9, "1 h"],
      [7_260e9, "2 h 1 m"], [90_000e9, "1 d 1 h"], [-5e6, "−5 ms"],
    ];
    for (const [ns, text] of given) expect(plain(formatDuration(ns))).toBe(text);
  });

  it("are read as the API reads them", () => {
    // What the field accepts, the server accepts.
    expect([parseDuration("10ms"), parseDuration("1.5s"), parseDuration("35us"), parseDuration("42"), parseDuration("2 m")]).toEqual([1e7, 1.5e9, 35_000, 42, 12e10]);
    expect([parseDuration("fast"), parseDuration("10 parsecs"), parseDuration("-1s")]).toEqual([null, null, null]);
  });

  it("on an axis are as precise as its step", () => {
    // Neighbouring labels always differ.
    expect([plain(formatTick(1.25e9, 5e7)), plain(formatTick(3e8, 1e8)), plain(formatTick(0, 1))]).toEqual(["1.25 s", "300 ms", "0"]);
    expect([formatTick(7_199.05e9, 5e7), formatTick(61e9, 1e9)]).toEqual(["1:59:59.05", "1:01"]);
  });
});

describe("instants", () => {
  it("keep nanoseconds apart", () => {
    // Two spans one nanosecond apart are not the same.
    expect(offsetFrom(1_700_000_000_000_000_000n, "1700000000000000001")).toBe(1);
    expect(formatUtc(1_700_000_000_123_456_789n)).toBe("2023-11-14T22:13:20.123456789Z");
    expect(formatUtc(-1n)).toBe("1969-12-31T23:59:59.999999999Z");
  });

  it("are local and short", () => {
    // Today has no date, this year no year.
    const at = new Date(2026, 4, 3, 9, 8, 7, 65);
    const ns = BigInt(at.getTime()) * 1_000_000n;
    expect(formatInstant(ns, new Date(2026, 4, 3, 20))).toBe("09:08:07.065");
    expect(formatInstant(ns, new Date(2026, 6, 1))).toBe("3 May 09:08:07.065");
    expect(formatInstant(ns, new Date(2027, 0, 1))).toBe("3 May 2026 09:08:07.065");
    expect(formatAgo(ns, new Date(at.getTime() + 125_000))).toBe("2 m ago");
  });

  it("that are absurd are still shown", () => {
    // A sender's broken clock breaks no page.
    expect(formatUtc(18_446_744_073_709_551_615n)).toMatch(/^2554-/);
    expect(formatUtc(10n ** 30n)).toBe(`${10n ** 30n} ns`);
  });
});

describe("numbers", () => {
  it("group digits and pick units", () => {
    // Large counts can be read at a glance.
    expect([plain(formatCount(1_234_567)), plain(formatBytes(999)), plain(formatBytes(3_400_000))]).toEqual(["1 234 567", "999 B", "3.4 MB"]);
  });
});
