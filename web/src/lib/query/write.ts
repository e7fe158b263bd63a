// Writes conditions that the server reads back as meant: quoting of keys and values, and adding to a query. Pure.
import type { Attribute, Level } from "../api/types";
import { tokenize } from "./tokens";

export const INTRINSIC_FIELDS = [
  "service",
  "name",
  "kind",
  "status",
  "status_message",
  "duration",
  "trace_id",
  "span_id",
  "parent_span_id",
  "scope_name",
  "event_name",
] as const;

const RESERVED = new Set(["and", "or", "not", "exists"]);
const LONGEST_EQUALITY = 256;

export function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

export function writeValue(text: string): string {
  const plain = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(text) && !RESERVED.has(text.toLowerCase());
  return plain ? text : quote(text);
}

function writeKey(key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(key) && !key.endsWith(".") ? key : quote(key);
}

/** With its level always; `bare` leaves the level out where the key alone cannot be misread. */
export function writeField(key: string, level: Level, bare = false): string {
  const written = writeKey(key);
  const first = key.split(".")[0] ?? "";
  const misread =
    written !== key ||
    RESERVED.has(key.toLowerCase()) ||
    (INTRINSIC_FIELDS as readonly string[]).includes(key) ||
    ["span", "resource", "scope", "event", "link"].includes(first);
  return bare && !misread ? key : `${level}.${written}`;
}

/** The condition that finds spans with this very attribute; for values that cannot be compared, that it exists. */
export function conditionFor(attribute: Attribute, level: Level): string {
  const field = writeField(attribute.key, level);
  const { type, value } = attribute;
  const comparable = type === "string" || type === "bool" || type === "int" || type === "double";
  const text = String(value);
  return comparable && text.length <= LONGEST_EQUALITY ? `${field} = ${writeValue(text)}` : `${field} exists`;
}

/** `query` and also `condition`: parentheses only where an `or` would otherwise capture it. */
export function addCondition(query: string, condition: string): string {
  const text = query.trim();
  if (text === "") return condition;
  const hasOr = tokenize(text).some((token) => token.kind === "word" && token.text.toLowerCase() === "or");
  return hasOr ? `(${text}) and ${condition}` : `${text} and ${condition}`;
}
