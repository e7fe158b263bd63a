import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("location", { pathname: "/", search: "" });
const { parseRoute } = await import("./router.svelte");
const view = (path: string) => parseRoute(path, "").view;

describe("addresses", () => {
  it("name their view", () => {
    // Every view can be linked to, with and without a trailing slash.
    const paths = ["/", "/search", "/destinations/", "/destinations/kafka%3Aorders", "/messages", "/messages/ab-cd", "/map", "/send", "/trace/AB", "/flow/ab"];
    expect(paths.map(view)).toEqual(["overview", "search", "destinations", "destination", "messages", "message", "map", "send", "trace", "flow"]);
  });

  it("carry names of any kind", () => {
    // A queue whose name is an address, or has slashes, comes out as it went in.
    const key = "aws_sqs:https://sqs.eu-west-1.amazonaws.com/1/orders?x=1#y";
    expect(parseRoute(`/destinations/${encodeURIComponent(key)}`, "")).toMatchObject({ view: "destination", key });
    expect(parseRoute("/trace/ABC", "?span=1")).toMatchObject({ traceId: "abc" });
  });

  it("that mean nothing are unknown", () => {
    // Broken encodings and made-up paths are a state of the page, not an exception.
    expect(["/nowhere", "/trace/a/b", "/destinations/%E0%A4%A", "/map/x"].map(view)).toEqual(Array(4).fill("unknown"));
  });
});
