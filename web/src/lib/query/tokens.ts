// The query language of docs/api.md, cut into tokens that know where they stand: for colouring, completion and carets.
// Never fails: what the server would refuse is still tokens here. Does not know what a field or value means.

export type TokenKind = "word" | "string" | "operator" | "open" | "close";

export interface Token {
  kind: TokenKind;
  text: string;
  start: number;
  end: number;
}

const OPERATOR = /^(?:!=|!~|=~|>=|<=|=|>|<)/;
const WORD = /^[^\s()"=!<>]+/;

/** Length of the quoted string at the start of `text`; all of it when the closing quote is missing. */
function stringLength(text: string): number {
  for (let at = 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function next(rest: string): { kind: TokenKind; length: number } {
  if (rest[0] === "(") return { kind: "open", length: 1 };
  if (rest[0] === ")") return { kind: "close", length: 1 };
  if (rest[0] === '"') return { kind: "string", length: stringLength(rest) };
  const operator = OPERATOR.exec(rest);
  if (operator) return { kind: "operator", length: operator[0].length };
  const word = WORD.exec(rest)?.[0] ?? rest[0] ?? "";
  // span."strange key" is one field.
  const quotedKey = word.endsWith(".") && rest[word.length] === '"';
  return { kind: "word", length: word.length + (quotedKey ? stringLength(rest.slice(word.length)) : 0) };
}

export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const blank = /^\s+/.exec(text.slice(at));
    if (blank) {
      at += blank[0].length;
      continue;
    }
    const { kind, length } = next(text.slice(at));
    tokens.push({ kind, text: text.slice(at, at + length), start: at, end: at + length });
    at += length;
  }
  return tokens;
}

export type Role = "field" | "operator" | "value" | "join" | "paren";

export interface RoledToken extends Token {
  role: Role;
}

const JOINS = new Set(["and", "or", "not"]);

/** What each token is by its place: a `word` may be a field, a value or a joining word. */
export function withRoles(tokens: Token[]): RoledToken[] {
  let expected: "field" | "operator" | "value" = "field";
  return tokens.map((token) => {
    const word = token.text.toLowerCase();
    let role: Role;
    if (token.kind === "open" || token.kind === "close") {
      role = "paren";
      expected = "field";
    } else if (expected === "value") {
      role = token.kind === "operator" ? "operator" : "value";
      if (role === "value") expected = "field";
    } else if (token.kind === "operator") {
      role = "operator";
      expected = "value";
    } else if (expected === "operator" && word === "exists") {
      role = "operator";
      expected = "field";
    } else if (JOINS.has(word) && token.kind === "word") {
      role = "join";
      expected = "field";
    } else {
      role = "field";
      expected = "operator";
    }
    return { ...token, role };
  });
}
