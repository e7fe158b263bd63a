import { describe, expect, it } from "vitest";
import type { Attribute } from "../api/types";
import { accept, complete, type Sources } from "./complete";
import { contextAt, splitField } from "./context";
import { unitsFromBytes } from "./position";
import { tokenize, withRoles } from "./tokens";
import { addCondition, conditionFor, writeField, writeValue } from "./write";

const sources: Sources = {
  services: async () => [{ name: "order", spans: 10 }, { name: "pay ment", spans: 5 }],
  operations: async (service) => [{ name: `POST /${service}`, spans: 1 }],
  keys: async (prefix, level) =>
    [
      { key: "messaging.message.id", level: "span" as const, types: ["string" as const], spans: 4 },
      { key: "strange key", level: "span" as const, types: ["string" as const], spans: 3 },
      { key: "http.status", level: "span" as const, types: ["int" as const], spans: 2 },
      { key: "host.name", level: "resource" as const, types: ["string" as const], spans: 1 },
    ].filter((key) => key.key.startsWith(prefix) && (level === null || level === key.level)),
  values: async (key) => [{ value: `${key} value`, type: "string", spans: 1 }],
};
const labels = async (text: string, cursor = text.length) => (await complete(text, cursor, sources)).suggestions.map((one) => one.label);
const inserted = async (text: string) => (await complete(text, text.length, sources)).suggestions.map((one) => one.insert);

describe("tokens", () => {
  it("cover the language and know their roles", () => {
    // Words are fields, values or joining words by their place alone.
    const roles = withRoles(tokenize('service = and and not (span."a b" =~ "x\\"y" or d exists)')).map((token) => [token.text, token.role]);
    expect(roles).toEqual([
      ["service", "field"], ["=", "operator"], ["and", "value"], ["and", "join"], ["not", "join"], ["(", "paren"],
      ['span."a b"', "field"], ["=~", "operator"], ['"x\\"y"', "value"], ["or", "join"], ["d", "field"], ["exists", "operator"], [")", "paren"],
    ]);
  });

  it("never fail and lose nothing", () => {
    // Half-typed and hostile text is still tokens that add up to the text.
    for (const text of ['"open', 'a="', "!", "a!b", "=~=~", "ключ = значение", "😀=😀", '""""', "\\"]) {
      const tokens = tokenize(text);
      expect(tokens.map((token) => token.text).join("")).toBe(text.replace(/\s/g, ""));
    }
  });
});

describe("completion", () => {
  it("offers what can stand at the cursor", async () => {
    // Field, operator, value, joining word: each in its place.
    expect(await labels("ser")).toContain("service");
    expect(await labels("service ")).toEqual(["=", "!=", "=~", "!~"]);
    expect(await labels("service = ")).toEqual(["order", "pay ment"]);
    expect(await labels("service = order ")).toEqual(["and", "or"]);
    expect(await labels("status = er")).toEqual(["error"]);
    expect(await labels("duration ")).toEqual([">", ">=", "<", "<="]);
    expect(await labels("service = order and name = ")).toEqual(["POST /order"]);
  });

  it("offers keys by level, and comparison where a key holds numbers", async () => {
    // resource.ho narrows to resource attributes; ints can be compared.
    expect(await labels("resource.ho")).toEqual(["resource.host.name"]);
    expect(await labels("messa")).toEqual(["messaging.message.id"]);
    expect(await labels("http.status ")).toContain(">=");
    expect(await labels("host.name ")).toContain("exists");
    expect(await labels("http.status = ")).toEqual(["http.status value"]);
  });

  it("quotes what must be quoted", async () => {
    // What completion writes, the server can read.
    expect(await inserted("service = pay")).toEqual(['"pay ment" ']);
    expect(await inserted("strange")).toEqual(['span."strange key" ']);
  });

  it("replaces the word under the cursor only", async () => {
    // Completing in the middle leaves the rest of the query alone.
    const { context, suggestions } = await complete("service = or and status = error", 12, sources);
    expect(context).toMatchObject({ expected: "value", prefix: "or", from: 10, to: 12 });
    expect(accept("service = or and status = error", context, suggestions[0]!)).toEqual({ text: "service = order and status = error", cursor: 16 });
  });

  it("knows an open quote as a value that is being typed", () => {
    // A space inside quotes does not end the value.
    expect(contextAt('service = "pay m', 16)).toMatchObject({ expected: "value", prefix: "pay m", from: 10, to: 16 });
    expect(splitField('span."strange key"')).toEqual({ level: "span", key: "strange key" });
  });
});

describe("written conditions", () => {
  const attribute = (key: string, type: Attribute["type"], value: unknown): Attribute => ({ key, type, value });

  it("find the attribute they were made from", () => {
    // Whatever key and value a sender chose, the condition means exactly them.
    expect(conditionFor(attribute("order.id", "string", "o-1"), "span")).toBe("span.order.id = o-1");
    expect(conditionFor(attribute("host.name", "string", "web 1"), "resource")).toBe('resource.host.name = "web 1"');
    expect(conditionFor(attribute('a "b" \\c', "string", 'x"y'), "event")).toBe('event."a \\"b\\" \\\\c" = "x\\"y"');
    expect(conditionFor(attribute("n", "int", "-5"), "span")).toBe('span.n = "-5"');
    expect(conditionFor(attribute("m", "map", {}), "span")).toBe("span.m exists");
    expect(conditionFor(attribute("big", "string", "x".repeat(1_000_000)), "span")).toBe("span.big exists");
    expect(writeValue("and")).toBe('"and"');
    expect(writeField("name", "span", true)).toBe("span.name");
  });

  it("are added so that an or cannot swallow them", () => {
    // Adding a condition only ever narrows.
    expect(addCondition("", "a = 1")).toBe("a = 1");
    expect(addCondition("x = 1", "a = 1")).toBe("x = 1 and a = 1");
    expect(addCondition("x = 1 or y = 2", "a = 1")).toBe("(x = 1 or y = 2) and a = 1");
    expect(addCondition('x = "or"', "a = 1")).toBe('x = "or" and a = 1');
  });
});

describe("positions", () => {
  it("turn bytes into characters", () => {
    // The caret stands where the server meant, after umlauts and emoji too.
    expect([unitsFromBytes("abc", 2), unitsFromBytes("äb", 2), unitsFromBytes("😀b", 4), unitsFromBytes("ab", 99)]).toEqual([2, 1, 2, 2]);
  });
});
