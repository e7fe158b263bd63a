// Suggestions for the query bar: what fits at the cursor, from the language itself and from the API's completion lists.
// The sources are handed in, so that this stays free of fetching and can be tested.
import type { AttributeKey, AttributeType, AttributeValueCount, Level } from "../api/types";
import { contextAt, splitField, type Context } from "./context";
import { INTRINSIC_FIELDS, writeField, writeValue } from "./write";

export interface Suggestion {
  /** What the list shows. */
  label: string;
  /** What is written, with the space that leads on. */
  insert: string;
  detail: string;
}

export interface Sources {
  services(): Promise<{ name: string; spans: number }[]>;
  operations(service: string): Promise<{ name: string; spans: number }[]>;
  keys(prefix: string, level: Level | null): Promise<AttributeKey[]>;
  values(key: string, level: Level | null, prefix: string): Promise<AttributeValueCount[]>;
}

export interface Completion {
  context: Context;
  suggestions: Suggestion[];
}

const MOST = 40;
const KINDS = ["server", "client", "producer", "consumer", "internal", "unspecified"];
const FIELD_NOTES: Record<(typeof INTRINSIC_FIELDS)[number], string> = {
  service: "who did the work",
  name: "span name",
  kind: "server, client, producer, consumer …",
  status: "unset, ok, error",
  status_message: "text of the status",
  duration: "of the span: 100ms, 2s",
  trace_id: "32 hex digits",
  span_id: "16 hex digits",
  parent_span_id: "16 hex digits",
  scope_name: "instrumentation library",
  event_name: "name of an event of the span",
};

const spans = (count: number) => `${count.toLocaleString("en").replaceAll(",", "\u202f")} spans`;
const matching = (text: string, prefix: string) => text.toLowerCase().includes(prefix.toLowerCase());

async function fields(context: Context, sources: Sources): Promise<Suggestion[]> {
  const { level, key } = splitField(context.prefix);
  const own = level
    ? []
    : INTRINSIC_FIELDS.filter((field) => field.startsWith(context.prefix.toLowerCase())).map((field) => ({
        label: field,
        insert: `${field} `,
        detail: FIELD_NOTES[field],
      }));
  const keys = await sources.keys(key, level);
  const found = keys.map((item) => {
    const written = writeField(item.key, item.level, level === null);
    return { label: written, insert: `${written} `, detail: `${item.level} · ${item.types.join(", ")} · ${spans(item.spans)}` };
  });
  return unique([...own, ...found]);
}

async function operators(context: Context, sources: Sources): Promise<Suggestion[]> {
  const field = context.field ?? "";
  const known = (INTRINSIC_FIELDS as readonly string[]).includes(field);
  let numeric = field === "duration";
  if (!known) {
    const { level, key } = splitField(field);
    const types: AttributeType[] = (await sources.keys(key, level)).filter((item) => item.key === key).flatMap((item) => item.types);
    numeric = types.some((type) => type === "int" || type === "double");
  }
  const compare = [[">", "more than"], [">=", "at least"], ["<", "less than"], ["<=", "at most"]] as const;
  const equal = [["=", "equals"], ["!=", "is there and differs"]] as const;
  const regex = [["=~", "matches the regex anywhere"], ["!~", "is there and does not match"]] as const;
  const list = field === "duration" ? [...compare] : numeric ? [...equal, ...compare] : [...equal, ...regex];
  const made: Suggestion[] = list.map(([operator, detail]) => ({ label: operator, insert: `${operator} `, detail }));
  if (!known) made.push({ label: "exists", insert: "exists ", detail: "is there, with any value" });
  return made.filter((item) => item.label.startsWith(context.prefix));
}

async function values(context: Context, sources: Sources): Promise<Suggestion[]> {
  const field = context.field ?? "";
  const fixed = (list: string[]) => list.map((text) => ({ label: text, insert: `${writeValue(text)} `, detail: "" }));
  const counted = (list: { name: string; spans: number }[]) =>
    list.map((item) => ({ label: item.name, insert: `${writeValue(item.name)} `, detail: spans(item.spans) }));
  const narrow = (list: Suggestion[]) => unique(list.filter((item) => matching(item.label, context.prefix)));
  if (field === "service") return narrow(counted(await sources.services()));
  if (field === "name") return narrow(context.service ? counted(await sources.operations(context.service)) : []);
  if (field === "kind") return narrow(fixed(KINDS));
  if (field === "status") return narrow(fixed(["error", "ok", "unset"]));
  if (field === "duration") return narrow(fixed(["10ms", "100ms", "1s", "10s", "1m"]));
  if ((INTRINSIC_FIELDS as readonly string[]).includes(field)) return [];
  const { level, key } = splitField(field);
  const found = await sources.values(key, level, context.prefix);
  return found.map((item) => ({ label: item.value, insert: `${writeValue(item.value)} `, detail: spans(item.spans) }));
}

function joins(context: Context): Suggestion[] {
  return ["and", "or"]
    .filter((word) => word.startsWith(context.prefix.toLowerCase()))
    .map((word) => ({ label: word, insert: `${word} `, detail: word === "and" ? "both conditions" : "either condition" }));
}

function unique(list: Suggestion[]): Suggestion[] {
  const seen = new Set<string>();
  return list.filter((item) => !seen.has(item.insert) && seen.add(item.insert));
}

export async function complete(text: string, cursor: number, sources: Sources): Promise<Completion> {
  const context = contextAt(text, cursor);
  const makers: Record<Context["expected"], () => Promise<Suggestion[]> | Suggestion[]> = {
    field: () => fields(context, sources),
    operator: () => operators(context, sources),
    value: () => values(context, sources),
    join: () => joins(context),
  };
  const suggestions = await makers[context.expected]();
  return { context, suggestions: suggestions.slice(0, MOST) };
}

/** The text and cursor after `suggestion` was taken. */
export function accept(text: string, context: Context, suggestion: Suggestion): { text: string; cursor: number } {
  const after = text.slice(context.to);
  const insert = after.startsWith(" ") ? suggestion.insert.trimEnd() : suggestion.insert;
  const cursor = context.from + insert.length + (after.startsWith(" ") ? 1 : 0);
  return { text: text.slice(0, context.from) + insert + after, cursor };
}
