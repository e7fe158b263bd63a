// Attribute values as text to show and copy. Pure; the text is only ever put into text nodes.
import type { Attribute } from "../api/types";

export const CLIPPED_AT = 400;

function bytesText(base64: string): string {
  const length = Math.floor((base64.length * 3) / 4) - (base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0);
  return `${base64}  (${length} bytes, base64)`;
}

export function valueText(attribute: Attribute): string {
  const { type, value } = attribute;
  if (type === "bytes" && typeof value === "string") return bytesText(value);
  if (type === "array" || type === "map") return compactJson(value);
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : String(value);
}

/** What "copy" puts on the clipboard: the value itself, without notes. */
export function copyText(attribute: Attribute): string {
  return attribute.type === "bytes" ? String(attribute.value) : valueText(attribute);
}

function compactJson(value: unknown): string {
  const short = JSON.stringify(value);
  return short.length <= 80 ? short : JSON.stringify(value, null, 2);
}

/** Keys under which instrumentations put what a message or a request carried. */
const PAYLOAD_KEY = /(^|[._-])(body|payload)([._-](text|content|data))?$/i;

/** Whether the value is a payload, which is not shown before it is asked for. */
export function isPayload(attribute: Attribute): boolean {
  const long = attribute.type === "string" || attribute.type === "bytes" || attribute.type === "map" || attribute.type === "array";
  return long && PAYLOAD_KEY.test(attribute.key) && valueText(attribute) !== "";
}

/** Cut at a whole character, never inside a surrogate pair. */
export function clipped(text: string, most: number = CLIPPED_AT): string {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? most - 1 : most);
}

/** The value as an address that may be followed: http and https only. */
export function safeHref(attribute: Attribute): string | null {
  const { value } = attribute;
  if (attribute.type !== "string" || typeof value !== "string" || value.length > 2_000) return null;
  if (!/^https?:\/\/[^\s]+$/i.test(value)) return null;
  try {
    const { protocol } = new URL(value);
    return protocol === "http:" || protocol === "https:" ? value : null;
  } catch {
    return null;
  }
}
