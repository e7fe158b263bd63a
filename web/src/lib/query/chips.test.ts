import { describe, expect, it } from "vitest";
import { conjuncts, without } from "./chips";

describe("chips of a query", () => {
  it("are the conditions that all must hold", () => {
    // Each can be taken back by itself, `and` written or not, and nothing inside parentheses or quotes is torn apart.
    expect(conjuncts('service = "a and b" and duration > 1ms')).toEqual(['service = "a and b"', "duration > 1ms"]);
    expect(conjuncts("a = 1 b exists not c = 2")).toEqual(["a = 1", "b exists", "not c = 2"]);
    expect(conjuncts("a = 1 and (b = 2 or c = 3) and not (d = 4)")).toEqual(["a = 1", "(b = 2 or c = 3)", "not (d = 4)"]);
    expect(conjuncts("a = 1 or b = 2")).toEqual(["a = 1 or b = 2"]);
    expect(conjuncts("  ")).toEqual([]);
  });

  it("leave the rest as it was", () => {
    // Taking one back changes nothing else.
    expect(without("a = 1 and (b = 2 or c = 3) and d = 4", 1)).toBe("a = 1 and d = 4");
    expect(without("a = 1", 0)).toBe("");
  });
});
