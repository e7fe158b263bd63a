import { describe, expect, it } from "vitest";
import { filterToApi, isPair, readFilter } from "./query";
import { stateInfo } from "./states";

describe("finding messages", () => {
  it("tells ids from business keys", () => {
    // One field for both: what looks like key=value is one, an id that ends in base64 padding is none.
    expect(["order.id=42", "a=b"].every(isPair)).toBe(true);
    expect(["m-1", "SGVsbG8=", "SGVsbG8==", "", "=x", "a b=c"].some(isPair)).toBe(false);
    expect(filterToApi({ find: " order.id=4=2 ", state: "", destination: "", group: "" })).toMatchObject({ key: "order.id=4=2" });
    expect(filterToApi({ find: "m-1", state: "late", destination: "", group: "" })).toEqual({ message_id: "m-1", state: "late", destination: "", group: "" });
  });

  it("reads all of its state from the address", () => {
    // A link to a filtered list shows the same list.
    expect(readFilter(new URLSearchParams("find=x&state=lost&destination=kafka:a&group=g"))).toEqual({ find: "x", state: "lost", destination: "kafka:a", group: "g" });
  });

  it("has a name for every state, known or not", () => {
    // A newer server may know more states.
    expect(stateInfo("dead_lettered").name).toBe("Dead-lettered");
    expect(stateInfo("thawed" as never).name).toBe("thawed");
  });
});
