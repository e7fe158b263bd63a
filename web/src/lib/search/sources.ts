// Where completion takes its words from: the API, each answer kept for a short while so that typing stays quick.
import { api } from "../api/client";
import type { Sources } from "../query/complete";

const KEPT_MS = 15_000;
const KEPT_MOST = 200;
const kept = new Map<string, { at: number; answer: Promise<unknown> }>();

function once<T>(key: string, ask: () => Promise<T>): Promise<T> {
  const now = Date.now();
  const old = kept.get(key);
  if (old && now - old.at < KEPT_MS) return old.answer as Promise<T>;
  if (kept.size > KEPT_MOST) kept.clear();
  const answer = ask();
  kept.set(key, { at: now, answer });
  answer.catch(() => kept.delete(key));
  return answer;
}

export const sources: Sources = {
  services: () => once("services", async () => (await api.services()).items),
  operations: (service) => once(`operations ${service}`, async () => (await api.operations(service)).items),
  keys: (prefix, level) => once(`keys ${level} ${prefix}`, async () => (await api.attributeKeys(prefix, level)).items),
  values: (key, level, prefix) =>
    once(`values ${level} ${key} ${prefix}`, async () => (await api.attributeValues(key, level, prefix)).items),
};
