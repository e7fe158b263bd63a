// The small pictures of the destinations in a list: each is asked for when its row comes into sight, a few at a time, and
// kept for a while, so that a list of a thousand asks for what is looked at.
import { messaging } from "../api/messaging";
import { boundsOf, scopeToApi, type Scope } from "../time/scope";
import { gridOf, lines, outOf, sum, total } from "./figures";

export interface Pair {
  sent: number[];
  out: number[];
}

const STEPS = 48;
const KEPT_MS = 20_000;
const AT_ONCE = 3;
const kept = new Map<string, { at: number; pair: Promise<Pair> }>();
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

async function ask(key: string, scope: Scope): Promise<Pair> {
  const now = Date.now();
  const { startNs, endNs, seconds } = boundsOf(scope, now);
  const minutes = Math.max(1, Math.round(seconds / 60 / STEPS));
  const detail = await messaging.destination(key, { ...scopeToApi(scope, now), step: `${minutes}m` });
  const grid = gridOf(detail, startNs, endNs);
  const out = lines(detail, grid, outOf, sum, 0).filter((line) => line.group !== null);
  const sent = lines(detail, grid, (figures) => figures.sent, sum, 0);
  return { sent: total(sent, grid.length), out: total(out, grid.length) };
}

export function pairFor(key: string, scope: Scope): Promise<Pair> {
  const name = JSON.stringify([key, scope]);
  const old = kept.get(name);
  if (old && Date.now() - old.at < KEPT_MS) return old.pair;
  if (kept.size > 400) kept.clear();
  const pair = inTurn(() => ask(key, scope));
  kept.set(name, { at: Date.now(), pair });
  pair.catch(() => kept.delete(name));
  return pair;
}
