import { describe, expect, it } from "vitest";
import type { MapEdge, Peer } from "../api/messaging";
import { graphOf, idOf, peerOf, toneOf } from "./model";

const service = (name: string): Peer => ({ kind: "service", name });
const queue: Peer = { kind: "destination", name: "kafka:a:b" };
const edge = (from: Peer, to: Peer, errors = 0, p95: number | null = null): MapEdge => ({
  from, to, count: 100, errors, duration: { count: 100, p50_ns: p95, p95_ns: p95, p99_ns: p95, max_ns: p95 },
});

describe("the map", () => {
  it("names every node so that it can be linked to", () => {
    // A destination's name may have colons; a service may be called like a queue.
    expect(peerOf(idOf(queue))).toEqual(queue);
    expect(idOf(service("kafka:a:b"))).not.toBe(idOf(queue));
    expect(peerOf("nonsense")).toBeNull();
  });

  it("colours by what is asked for", () => {
    // A long wait is no error, and time that work took is no wait.
    expect(toneOf(edge(service("s"), queue, 5), "errors")).toBe("error");
    expect(toneOf(edge(service("s"), queue, 0), "errors")).toBe("plain");
    expect(toneOf(edge(queue, service("s"), 5, 20e9), "wait")).toBe("wait");
    expect(toneOf(edge(queue, service("s"), 0, 90e9), "wait")).toBe("error");
    expect(toneOf(edge(service("s"), service("t"), 0, 90e9), "wait")).toBe("plain");
  });

  it("keeps destinations and services apart", () => {
    // What is drawn as a pipe is a destination; its system stands below its name.
    const graph = graphOf({ nodes: [service("s"), queue], edges: [edge(service("s"), queue)] }, "wait");
    expect(graph.nodes).toContainEqual({ id: "destination:kafka:a:b", kind: "destination", name: "a:b", note: "kafka" });
    expect(graph.edges[0]?.label).toBe("100");
  });
});
