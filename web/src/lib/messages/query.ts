// Which messages the view asks for: in the address, and as the API wants it. One field finds by id or by business key. Pure.
import type { Params } from "../api/client";

export interface MessageFilter {
  /** A message id, or `key=value`. */
  find: string;
  state: string;
  destination: string;
  group: string;
}

const FIELDS = ["find", "state", "destination", "group"] as const;

export function readFilter(params: URLSearchParams): MessageFilter {
  const [find, state, destination, group] = FIELDS.map((field) => params.get(field) ?? "");
  return { find: find ?? "", state: state ?? "", destination: destination ?? "", group: group ?? "" };
}

/** `order.id=42` is a business key; a message id may contain `=`, too, but then in the padding of base64 at its end. */
export function isPair(find: string): boolean {
  return /^[^=\s]+=[^=]/.test(find);
}

export function filterToApi({ find, state, destination, group }: MessageFilter): Params {
  const text = find.trim();
  return { state, destination, group, ...(isPair(text) ? { key: text } : { message_id: text }) };
}

export function isFiltered(filter: MessageFilter): boolean {
  return FIELDS.some((field) => filter[field] !== "");
}
