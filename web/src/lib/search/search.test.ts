import { describe, expect, it } from "vitest";
import type { TraceSummary } from "../api/types";
import { addressesFrom, senders } from "../send/snippets";
import { logAxis, shareOf } from "./logaxis";
import { appendPage, mergeNewest } from "./merge";
import { readSearch, searchHref, toApiParams } from "./params";

const summary = (trace_id: string, answer_ns = 1e6, last_effect_ns = 1e9): TraceSummary => ({
  trace_id,
  root: null,
  start_unix_nano: "0",
  duration_ns: last_effect_ns,
  answer_ns,
  last_effect_ns,
  worked_ns: [],
  failed_ns: [],
  span_count: 1,
  error_count: 0,
  service_count: 1,
  services: [],
  matched: { count: 0, newest_start_unix_nano: "0", spans: [] },
});
const ids = (list: TraceSummary[]) => list.map((item) => item.trace_id).join("");

describe("the address of a search", () => {
  it("holds all of its state", () => {
    // Reload, back and sharing lose nothing.
    const state = readSearch(new URLSearchParams("q=a+%3D+%22%26%22&service=s&name=n&kind=client&status=error&min_duration=10ms&max_duration=1s&start=1&end=2&sel=1-2_0-&live=1"));
    expect(readSearch(new URL(searchHref(state), "http://x").searchParams)).toEqual(state);
    expect(searchHref({})).toBe("/search");
  });

  it("sends the API what it knows and nothing else", () => {
    // A relative range becomes a start; the page's own parameters stay with the page.
    const state = readSearch(new URLSearchParams("range=1h&live=1&start=5"));
    const params = toApiParams(state, 3_600_000);
    expect(params).toMatchObject({ start: "0000000", end: "" });
    expect(Object.keys(params)).not.toContain("live");
    expect(Object.keys(params)).not.toContain("range");
  });
});

describe("result lists", () => {
  it("take fresh pages on top and further pages below, each trace once", () => {
    // Live refresh and paging never show a trace twice.
    const shown = [summary("b"), summary("c")];
    expect(ids(mergeNewest(shown, [summary("a"), summary("b")]))).toBe("abc");
    expect(ids(appendPage(shown, [summary("c"), summary("d")]))).toBe("bcd");
  });

  it("share an axis that holds the shortest answer and the latest effect", () => {
    // Bars of one list can be compared, from microseconds to days.
    const axis = logAxis([summary("a", 18e6, 40e9), summary("b", 3e3, 7_200e9)]);
    expect(shareOf(axis, 3e3)).toBeGreaterThan(0);
    expect(shareOf(axis, 7_200e9)).toBeLessThanOrEqual(1);
    expect(shareOf(axis, 18e6)).toBeLessThan(shareOf(axis, 40e9));
    expect(logAxis([]).marks.length).toBeGreaterThanOrEqual(4);
    expect(shareOf(axis, 0)).toBe(0);
  });
});

describe("send snippets", () => {
  it("carry the addresses the server listens on", () => {
    // Copying is enough: no placeholder is left to fill in.
    const addresses = addressesFrom({ otlp_grpc: "0.0.0.0:5317", otlp_http: "127.0.0.1:5318", zipkin: "[::]:9999", jaeger_http: "127.0.0.1:1426" }, "trace.local");
    expect(addresses).toEqual({ grpc: "trace.local:5317", http: "127.0.0.1:5318", zipkin: "trace.local:9999", jaegerHttp: "127.0.0.1:1426", jaegerUdp: "127.0.0.1:6831" });
    const text = JSON.stringify(senders(addresses));
    for (const address of [addresses.grpc, addresses.http, addresses.zipkin, addresses.jaegerHttp]) expect(text).toContain(address);
    expect(text).toContain("JAEGER_AGENT_PORT=6831");
  });
});
