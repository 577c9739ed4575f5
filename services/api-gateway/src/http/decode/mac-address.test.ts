import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type MacWish, placeMac } from "./mac-address.ts";

const own = "02:42:ac:11:00:98";
const other = "02:42:ac:11:00:99";

function place(version: number, wish: Partial<MacWish>) {
  return placeMac({ container: "", networkMode: "", endpoints: {}, ...wish }, version);
}

describe("the MAC address of a container as a whole", () => {
  it("is its primary endpoint's, and warned of", () => {
    for (const [networkMode, name] of [
      ["", "bridge"],
      ["default", "bridge"],
      ["quay", "quay"],
    ] as const) {
      const placed = place(51, { container: own, networkMode });
      assert.deepEqual(placed.endpoints, { [name]: { macAddress: own } });
      assert.equal(placed.container, "");
      assert.match(
        placed.warnings.join(),
        /^The container-wide MacAddress field is now deprecated/,
      );
    }
    const asked = { default: { aliases: ["a"] }, quay: {} };
    assert.deepEqual(place(44, { container: own, endpoints: asked }).endpoints, {
      default: { aliases: ["a"], macAddress: own },
      quay: {},
    });
  });

  it("is dropped with a warning where there are no endpoints of its own", () => {
    for (const networkMode of ["host", "none", "container:x"]) {
      const placed = place(51, { container: own, networkMode, endpoints: { [networkMode]: {} } });
      assert.deepEqual(placed.endpoints, { [networkMode]: {} });
      assert.equal(placed.warnings.length, 1);
    }
  });

  it("may not contradict the endpoint's, nor be for none of them", () => {
    assert.throws(
      () => place(51, { container: own, endpoints: { bridge: { macAddress: other } } }),
      {
        kind: "invalid_argument",
        message:
          "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
      },
    );
    assert.throws(() => place(51, { container: own, networkMode: "a", endpoints: { b: {} } }), {
      kind: "invalid_argument",
      message:
        "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
    });
  });

  it("is the only one before 1.44: an endpoint's is ignored", () => {
    const endpoints = { b: { macAddress: other } };
    assert.deepEqual(place(43, { networkMode: "a", endpoints }).endpoints, {
      b: { macAddress: "" },
    });
    const placed = place(43, { container: own, networkMode: "a", endpoints });
    assert.deepEqual(placed, {
      container: own,
      endpoints: { b: { macAddress: own } },
      warnings: [],
    });
    assert.throws(() => place(43, { container: own, networkMode: "none" }), {
      kind: "invalid_argument",
      message: "conflicting options: mac-address and the network mode",
    });
  });
});
