// What the reader may want to write at the cursor, and which part of the text a completion replaces. Pure.
import type { Level } from "../api/types";
import { tokenize, withRoles, type RoledToken } from "./tokens";

export type Expected = "field" | "operator" | "value" | "join";

export interface Context {
  expected: Expected;
  /** What has been typed of it. */
  prefix: string;
  from: number;
  to: number;
  /** The field an operator or a value belongs to. */
  field: string | null;
  /** `service = …` conditions before the cursor: narrows operation names. */
  service: string | null;
}

function expectedAfter(token: RoledToken | undefined): Expected {
  if (!token) return "field";
  if (token.role === "field") return "operator";
  if (token.role === "operator") return token.text.toLowerCase() === "exists" ? "join" : "value";
  if (token.role === "value") return "join";
  return token.kind === "close" ? "join" : "field";
}

export function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  const inner = text.length > 1 && text.endsWith('"') && !text.endsWith('\\"') ? text.slice(1, -1) : text.slice(1);
  return inner.replace(/\\(.)/g, "$1");
}

export function contextAt(text: string, cursor: number): Context {
  const tokens = withRoles(tokenize(text));
  const before = tokens.filter((token) => token.end < cursor || (token.end === cursor && token.kind !== "word" && !isOpenString(token)));
  const touching = tokens.find((token) => token.start < cursor && token.end >= cursor && !before.includes(token));
  const last = before[before.length - 1];
  let expected = expectedAfter(last);
  // A word after a complete condition: either a joining word or, `and` being optional, the next field.
  if (touching && expected === "join" && touching.role === "field") expected = "field";
  const field = [...before].reverse().find((token) => token.role === "field");
  const service = before.find((token, index) => token.role === "value" && isServiceIs(before, index));
  return {
    expected,
    prefix: touching ? unquote(text.slice(touching.start, cursor)) : "",
    from: touching ? touching.start : cursor,
    to: touching ? touching.end : cursor,
    field: expected === "field" || expected === "join" ? null : (field?.text ?? null),
    service: service ? unquote(service.text) : null,
  };
}

function isOpenString(token: RoledToken): boolean {
  return token.kind === "string" && (token.text.length === 1 || !token.text.endsWith('"') || token.text.endsWith('\\"'));
}

function isServiceIs(tokens: RoledToken[], value: number): boolean {
  return tokens[value - 1]?.text === "=" && tokens[value - 2]?.text === "service";
}

const LEVELS: readonly Level[] = ["span", "resource", "scope", "event", "link"];

/** `resource.host.name` → its level and key; a bare key has no level. */
export function splitField(field: string): { level: Level | null; key: string } {
  const level = LEVELS.find((candidate) => field.startsWith(`${candidate}.`)) ?? null;
  return { level, key: unquote(level ? field.slice(level.length + 1) : field) };
}
