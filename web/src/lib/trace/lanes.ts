// The same spans grouped by service: one lane a service, its spans below it in order of time. Nodes keep their numbers, so
// that what is chosen stays chosen. Pure.
import { NONE, type Extra, type Node, type TimelineModel } from "./model";

export function byService(model: TimelineModel): TimelineModel {
  const lanes: Extra[] = model.services.map((service) => ({ kind: "lane", parent: NONE, children: [], service }));
  const first = model.extras.length;
  const laneOf = (node: Node): Node => {
    let at = node;
    for (let step = 0; step < 8 && at < 0 && at !== NONE; step += 1) at = model.extras[~at]?.parent ?? NONE;
    return ~(first + (at >= 0 ? (model.serviceOf[at] ?? 0) : 0));
  };
  const order = Uint32Array.from(model.spans, (_, index) => index).sort((a, b) => (model.startOffset[a] ?? 0) - (model.startOffset[b] ?? 0) || a - b);
  const parent = new Int32Array(model.spans.length);
  const below = new Map<number, Node[]>();
  model.extras.forEach((extra, index) => {
    if (extra.parent < 0) return;
    const list = below.get(extra.parent);
    if (list) list.push(~index);
    else below.set(extra.parent, [~index]);
  });
  for (const index of order) {
    const lane = ~laneOf(index);
    parent[index] = ~lane;
    const children = lanes[lane - first]?.children;
    children?.push(index, ...(below.get(index) ?? []));
  }
  // What stands for a span elsewhere has no row among lanes; what became of a message does.
  const extras = model.extras.map((extra): Extra => ({ ...extra, parent: laneOf(extra.parent), children: [] }));
  return {
    ...model,
    parent,
    children: model.spans.map(() => []),
    extras: [...extras, ...lanes],
    roots: lanes.map((_, index) => ~(first + index)),
    descendants: new Uint32Array(model.spans.length),
    subtreeEnd: model.startOffset.map((from, index) => from + (model.duration[index] ?? 0)),
  };
}
