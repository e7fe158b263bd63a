// A query taken apart into the conditions that all must hold, so that each can be shown and taken back. Pure.
import { tokenize, withRoles } from "./tokens";

/** The parts between the outermost `and`s, written or left out; a query with an outer `or` is one part. */
export function conjuncts(query: string): string[] {
  const tokens = withRoles(tokenize(query));
  const parts: { from: number; to: number }[] = [];
  let depth = 0;
  let open = false;
  for (const [index, token] of tokens.entries()) {
    const word = token.role === "join" ? token.text.toLowerCase() : "";
    if (depth === 0 && word === "or") return [query.trim()];
    if (depth === 0 && word === "and") {
      open = false;
      continue;
    }
    const before = tokens[index - 1];
    const negated = before?.role === "join" && before.text.toLowerCase() === "not";
    const begins = depth === 0 && !negated && (token.role === "field" || token.kind === "open" || word === "not");
    if (begins || !open) {
      parts.push({ from: token.start, to: token.end });
      open = true;
    }
    if (token.kind === "open") depth += 1;
    if (token.kind === "close") depth = Math.max(0, depth - 1);
    const last = parts[parts.length - 1];
    if (last) last.to = token.end;
  }
  return parts.map(({ from, to }) => query.slice(from, to));
}

export function without(query: string, index: number): string {
  return conjuncts(query).filter((_, at) => at !== index).join(" and ");
}
