import { describe, expect, it } from "vitest";
import type { LinkEnd } from "../api/types";
import { traceOf } from "./fixture";
import { indexLinks, linkKey } from "./links";
import { buildModel } from "./model";
import { clipped, isPayload, safeHref, valueText } from "./value";

const end = (trace_id: string, span_id: string, received = true): LinkEnd => ({
  trace_id,
  span_id,
  service: received ? "mailer" : null,
  name: received ? "process" : null,
  received,
});

describe("indexLinks", () => {
  const model = buildModel(traceOf([{ id: "a", links: [{ trace_id: "t1", span_id: "s1" }, { trace_id: "t2", span_id: "s2" }] }]));
  const here = model.traceId;

  it("shows a span's own links before the API has answered", () => {
    // A link is never missing only because the other side is still unknown.
    const own = indexLinks(model, null).get(linkKey(here, "a"));
    expect(own?.out.map((link) => [link.other.span_id, link.known])).toEqual([["s1", false], ["s2", false]]);
  });

  it("joins both directions from the API without doubling", () => {
    // Outgoing links show their cause, incoming ones their effect.
    const index = indexLinks(model, {
      outgoing: [{ from: end("t1", "s1"), to: end(here, "a"), evidence: "link", attributes: [] }],
      incoming: [{ from: end(here, "a"), to: end("t9", "s9", false), evidence: "link", attributes: [] }],
    });
    expect(index.get(linkKey(here, "a"))?.out.map((link) => [link.other.span_id, link.known])).toEqual([["s1", true], ["s2", false]]);
    expect(index.get(linkKey(here, "a"))?.in.map((link) => [link.other.span_id, link.other.received])).toEqual([["s9", false]]);
  });
});

describe("values", () => {
  it("lead only to http and https", () => {
    // A javascript: address in span data is text.
    const href = (value: string) => safeHref({ key: "k", type: "string", value });
    expect(href("https://example.com/a?b=1")).toBe("https://example.com/a?b=1");
    expect([href("javascript:alert(1)"), href("https://a b"), href("data:text/html,x"), href("see https://x")]).toEqual([null, null, null, null]);
  });

  it("of payloads are known by their keys", () => {
    // What a message carried is hidden at first; how large it was is not.
    const payload = (key: string, value: unknown = "x", type = "string") => isPayload({ key, type: type as never, value });
    expect([payload("messaging.message.body"), payload("http.request.body.text"), payload("payload"), payload("event.payload", { a: 1 }, "map")]).toEqual([true, true, true, true]);
    expect([payload("messaging.message.body.size"), payload("somebody"), payload("payload.id"), payload("body", 3, "int"), payload("body", "")]).toEqual([false, false, false, false, false]);
  });

  it("are cut between characters", () => {
    // Half an emoji is not text.
    expect(clipped("ab😀cd", 3)).toBe("ab");
    expect(clipped("ab😀cd", 4)).toBe("ab😀");
  });

  it("show every type", () => {
    // Nothing a sender can write is shown as [object Object].
    const text = (type: never, value: unknown) => valueText({ key: "k", type, value });
    expect(text("int" as never, "9007199254740993")).toBe("9007199254740993");
    expect(text("array" as never, [1, "a"])).toBe('[1,"a"]');
    expect(text("bytes" as never, "AAEC")).toContain("3 bytes");
    expect(text("double" as never, "NaN")).toBe("NaN");
    expect(text("empty" as never, null)).toBe("");
  });
});
