import { describe, expect, it } from "vitest";
import type { Destination, Figures, Service, Standings } from "../api/messaging";
import { byTrouble, deliveries, gridOf, lines, oldestAge, splitKey, sum, total } from "../destinations/figures";
import { seriesOf } from "./services";
import { totals, verdict } from "./verdict";
import { worstFirst } from "./worst";

const figures = (part: Partial<Figures> = {}): Figures => ({
  sent: 10, received: 0, processed: 10, failed: 0, dead_lettered: 0, late: 0, lost: 0, clock_skewed: 0,
  queue_wait: { count: 0, p50_ns: null, p95_ns: null, p99_ns: null, max_ns: null }, ...part,
});
const now = (part: Partial<Standings> = {}): Standings => ({ pending: 0, late: 0, lost: 0, oldest_unix_nano: null, ...part });
const queue = (name: string, part: Partial<Destination> = {}): Destination => ({
  key: `kafka:${name}`, system: "kafka", name, kind: "topic", figures: figures(), now: now(), groups: [], ...part,
});

describe("the verdict", () => {
  it("names the worst thing and where it is", () => {
    // Lost before late before given up on; without any of them everything is on time.
    const late = queue("late", { now: now({ late: 3, oldest_unix_nano: "1000000000" }) });
    const lost = queue("lost", { now: now({ lost: 1 }) });
    const dead = queue("dead", { figures: figures({ dead_lettered: 2 }) });
    expect(verdict([dead, late, lost], 61_000)).toMatchObject({ health: "bad", worst: { name: "lost" } });
    expect(verdict([dead, late], 61_000)).toMatchObject({ health: "warn", worst: { name: "late" } });
    expect(verdict([dead], 0)).toMatchObject({ health: "warn", worst: { name: "dead" } });
    expect(verdict([queue("a")], 0)).toMatchObject({ health: "good", worst: null });
    expect(verdict([], 0)).toMatchObject({ health: "good", title: "No messages yet" });
  });

  it("counts over all destinations", () => {
    // What was lost a while ago and is no longer in memory still counts.
    expect(totals([queue("a", { figures: figures({ lost: 5 }), now: now({ lost: 2, late: 1 }) }), queue("b")])).toMatchObject({ lost: 5, late: 1, sent: 20 });
  });
});

describe("the worst messages", () => {
  it("are some of each kind", () => {
    // Hundreds of dead letters do not push the one lost message out of sight.
    expect(worstFirst([["l"], ["a", "b"], ["d", "e", "f", "g"]], 5)).toEqual(["l", "a", "b", "d", "e"]);
    expect(worstFirst([[], [], ["d"]], 5)).toEqual(["d"]);
    expect(worstFirst([], 5)).toEqual([]);
  });
});

describe("figures of destinations", () => {
  it("count deliveries whoever traces them", () => {
    // Some trace taking, some working; attempts of several groups add up.
    const groups = [
      { name: "a", figures: figures({ received: 12, processed: 3 }), now: now() },
      { name: "b", figures: figures({ received: 0, processed: 9 }), now: now() },
    ];
    expect(deliveries(queue("q", { groups }))).toBe(21);
    expect(deliveries(queue("q"))).toBe(10);
  });

  it("are in order of trouble", () => {
    // What is lost comes first, however busy the others are.
    const list = [queue("busy", { figures: figures({ sent: 9_999 }) }), queue("late", { now: now({ late: 1 }) }), queue("lost", { now: now({ lost: 1 }) })];
    expect(list.sort(byTrouble).map((one) => one.name)).toEqual(["lost", "late", "busy"]);
  });

  it("say how long the oldest has waited", () => {
    // A clock that is behind makes no negative age.
    expect(oldestAge(now({ oldest_unix_nano: "1000000000" }), 3_000)).toBe(2e9);
    expect(oldestAge(now({ oldest_unix_nano: "9000000000" }), 3_000)).toBe(0);
    expect(oldestAge(now(), 3_000)).toBeNull();
    expect(splitKey("aws_sqs:https://x/1")).toEqual({ system: "aws_sqs", name: "https://x/1" });
  });

  it("lie on a regular grid", () => {
    // Steps without anything are zero, not a slope; partitions of a group are one line.
    const point = (start: string, group: string | null, partition: string | null, sent: number) => ({ start_unix_nano: start, group, partition, figures: figures({ sent }) });
    const detail = { destination: queue("q"), step_ns: 60e9, series: [point("60000000000", "g", "0", 1), point("60000000000", "g", "1", 2), point("180000000000", "g", null, 4)] };
    const grid = gridOf(detail, 61_000_000_000n, 241_000_000_000n);
    expect(grid).toEqual([60_000, 120_000, 180_000, 240_000]);
    const found = lines(detail, grid, (one) => one.sent, sum, 0);
    expect(found).toEqual([{ group: "g", values: [3, 0, 4, 0] }]);
    expect(total(found, 4)).toEqual([3, 0, 4, 0]);
  });
});

describe("the picture of a service", () => {
  it("has zeros where nothing was asked", () => {
    // Steps that the server leaves out are silence.
    const step = (start_unix_nano: string, requests: number) => ({ start_unix_nano, requests, errors: 1, p50_ns: null, p95_ns: null });
    const service: Service = {
      name: "s", spans: 1, step_ns: 60e9, series: [step("60000000000", 5), step("180000000000", 7), step("9000000000000", 9)],
      figures: { requests: 12, errors: 2, duration: { count: 0, p50_ns: null, p95_ns: null, p99_ns: null, max_ns: null } },
    };
    expect(seriesOf(service, 60_000_000_000n, 200_000_000_000n)).toEqual({ requests: [5, 0, 7], errors: [1, 0, 1] });
  });
});
