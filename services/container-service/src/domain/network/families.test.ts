import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFamilyEnabled } from "./families.ts";

const option = (family: 4 | 6, value: string) => ({
  [`com.docker.network.enable_ipv${family}`]: value,
});

describe("families of a network", () => {
  it("are IPv4 alone when nobody says more", () => {
    assert.equal(isFamilyEnabled(4, undefined, {}), true);
    assert.equal(isFamilyEnabled(6, undefined, {}), false);
  });

  it("are said by options, but the request comes first", () => {
    assert.equal(isFamilyEnabled(6, undefined, option(6, "1")), true);
    assert.equal(isFamilyEnabled(4, undefined, option(4, "False")), false);
    assert.equal(isFamilyEnabled(6, false, option(6, "true")), false);
    assert.equal(isFamilyEnabled(6, true, option(6, "no")), true);
  });

  it("are refused when an option is no truth value", () => {
    assert.throws(() => isFamilyEnabled(6, undefined, option(6, "yes")), {
      kind: "invalid_argument",
      message: 'driver-opt "com.docker.network.enable_ipv6" is not a valid bool',
    });
  });
});
