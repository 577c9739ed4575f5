import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkBridgeOptions, parseBridgeOptions } from "./bridge-options.ts";

const bridge = "com.docker.network.bridge";

describe("options of a new bridge network", () => {
  for (const [option, why] of [
    ["host_binding_ipv4", "nil ip"],
    ["gateway_mode_ipv4", "unknown gateway mode "],
    ["gateway_mode_ipv6", "unknown gateway mode "],
  ] as const) {
    const name = `${bridge}.${option}`;
    it(`may not have an empty ${option}, as with dockerd`, () => {
      assert.throws(
        () => {
          checkBridgeOptions({ [name]: "" });
        },
        { kind: "invalid_argument", message: `failed to parse ${name} value:  (${why})` },
      );
    });

    it(`are read with an empty ${option} where a network has one`, () => {
      assert.deepEqual(parseBridgeOptions({ [name]: "" }), parseBridgeOptions({}));
    });
  }

  it("may have an empty bridge name, MTU and interface prefix", () => {
    checkBridgeOptions({
      [`${bridge}.name`]: "",
      "com.docker.network.driver.mtu": "",
      "com.docker.network.container_iface_prefix": "",
    });
  });
});
