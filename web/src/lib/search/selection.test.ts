import { describe, expect, it } from "vitest";
import type { HeatMap } from "../api/explore";
import { chosenParams, narrowed, placeOf, readSelection, selectionOf, writeSelection } from "./selection";

const map: HeatMap = {
  start_unix_nano: "1700000000000000000", step_ns: 1e9, columns: 60, edges_ns: [1000, 2000, 4000, 8000], cells: [], spans: 0, sampled: false,
  sample: { looked_at_spans: 0, stored_spans: 0 },
};

describe("a selection on the heat map", () => {
  it("survives the address", () => {
    // A shared link shows the same part; what is not one selects nothing.
    const selection = selectionOf(map, { fromColumn: 5, toColumn: 2, fromRow: 1, toRow: 1 });
    expect(selection).toEqual({ start: "1700000002000000000", end: "1700000006000000000", minNs: 2000, maxNs: 3999 });
    expect(readSelection(writeSelection(selection))).toEqual(selection);
    expect(readSelection("5-1_0-")).toBeNull();
    expect(readSelection("1-5_9-8")).toBeNull();
    expect(readSelection("x")).toBeNull();
  });

  it("reaches to what is drawn in the outer rows", () => {
    // The lowest row holds spans of no time at all, the highest those of any.
    const all = selectionOf(map, { fromColumn: 0, toColumn: 59, fromRow: 0, toRow: 2 });
    expect(all).toMatchObject({ minNs: 0, maxNs: null });
    expect(placeOf(map, all)).toEqual({ left: 0, right: 1, bottom: 0, top: 1 });
  });

  it("lies where it was drawn", () => {
    // Drawing and asking agree on the same cells.
    const place = placeOf(map, selectionOf(map, { fromColumn: 30, toColumn: 59, fromRow: 1, toRow: 1 }));
    expect(place.left).toBe(0.5);
    expect(place.bottom).toBeCloseTo(1 / 3);
    expect(place.top).toBeCloseTo(2 / 3);
  });

  it("narrows a search and never widens it", () => {
    // A lower bound that was asked for stays when the selection reaches below it.
    const selection = selectionOf(map, { fromColumn: 0, toColumn: 0, fromRow: 0, toRow: 1 });
    expect(narrowed({ min_duration: "3us", q: "a = b" }, selection)).toMatchObject({ min_duration: "3000", max_duration: "3999", q: "a = b", start: selection.start });
    expect(chosenParams(selection)).toMatchObject({ chosen_min_duration: null, chosen_max_duration: "3999" });
  });
});
