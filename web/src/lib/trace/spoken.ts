// What the canvas and the icons of a row show, in words, for those who listen. Pure.
import { stateMark, stateSentence } from "../flow/words";
import { formatDuration } from "../time/duration";
import { plural } from "../time/number";
import type { Node, TimelineModel } from "./model";
import { childrenOf } from "./rows";

function spanWords(model: TimelineModel, node: number): string {
  const span = model.spans[node];
  if (!span) return "";
  const hop = model.hops[model.hopOf[node] ?? -1];
  const attempts = model.attempts[model.hopOf[node] ?? -1] ?? 1;
  const wait = model.wait[node] ?? 0;
  const parts = [
    span.kind === "internal" || span.kind === "unspecified" ? "" : span.kind,
    span.status.code === "error" ? "error" : "",
    formatDuration(span.duration_ns),
    `starts at ${formatDuration(model.startOffset[node] ?? 0)}`,
    hop && wait > 0 ? `after ${formatDuration(wait)} in ${hop.destination.name}` : "",
    hop && attempts > 1 ? `attempt ${hop.attempt} of ${attempts}` : "",
    hop && stateMark(hop) !== null ? (stateMark(hop) ?? "") : "",
    Number.isNaN(model.pathWorking[node]) && Number.isNaN(model.pathWaiting[node]) ? "" : "on the critical path",
  ];
  return parts.filter((part) => part !== "").map((part) => `, ${part}`).join("");
}

export function rowWords(model: TimelineModel, node: Node): string {
  if (node >= 0) return spanWords(model, node);
  const extra = model.extras[~node];
  const hop = extra && "hop" in extra ? model.hops[extra.hop] : undefined;
  if (extra?.kind === "message") return hop ? `, message. ${stateSentence(hop)}` : ", message";
  if (extra?.kind === "siblings") return ", of other flows";
  return `, ${plural(childrenOf(model, node).length, "span below", "spans below")}`;
}
