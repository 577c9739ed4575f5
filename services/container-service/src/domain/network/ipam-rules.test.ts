import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { completeSubnet, ipamProblems } from "./ipam-rules.ts";
import type { SubnetRecord } from "./records.ts";

function config(subnet: string, rest: Partial<SubnetRecord> = {}): SubnetRecord {
  return { subnet, ipRange: "", gateway: "", auxiliaryAddresses: {}, ...rest };
}

describe("address management asked for", () => {
  for (const [asked, problem] of [
    [config("10.0.0.0"), "invalid subnet 10.0.0.0: invalid CIDR block notation"],
    [config("10.0.0.1/24"), "invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24"],
    [
      config("10.0.0.0/24", { gateway: "10.0.1.1" }),
      "invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address",
    ],
    [
      config("10.0.0.0/24", { gateway: "::1" }),
      "invalid gateway ::1: parent subnet is an IPv4 block",
    ],
    [
      config("10.0.0.0/24", { gateway: "10.0.0.1/24" }),
      "invalid gateway 10.0.0.1/24: invalid address",
    ],
    [
      config("10.0.0.0/24", { ipRange: "10.0.1.0/25" }),
      "invalid ip-range 10.0.1.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range",
    ],
    [
      config("10.0.0.0/24", { ipRange: "10.0.0.1/25" }),
      "invalid ip-range 10.0.0.1/25: it should be 10.0.0.0/25",
    ],
    [
      config("10.0.0.0/24", { ipRange: "10.0.0.0/23" }),
      "invalid ip-range 10.0.0.0/23: CIDR block is bigger than its parent subnet 10.0.0.0/24",
    ],
    [
      config("10.0.0.0/24", { auxiliaryAddresses: { dev: "x" } }),
      "invalid auxiliary address dev: invalid address",
    ],
  ] as const) {
    it(`is refused: ${problem}`, () => {
      assert.deepEqual(ipamProblems([asked], false), [problem]);
    });
  }

  it("gets the first free address as gateway", () => {
    assert.equal(completeSubnet(config("10.0.0.0/24")).gateway, "10.0.0.1");
    assert.equal(completeSubnet(config("10.0.0.0/31")).gateway, "10.0.0.0");
  });

  it("gets it from the range of dynamic addresses", () => {
    const asked = config("10.0.0.0/24", { ipRange: "10.0.0.128/25" });
    assert.equal(completeSubnet(asked).gateway, "10.0.0.128");
  });

  for (const [rest, message] of [
    [{ gateway: "10.0.0.255" }, "failed to allocate gateway (10.0.0.255): Address already in use"],
    [
      { auxiliaryAddresses: { router: "10.0.0.1" } },
      "failed to allocate secondary ip address (router:10.0.0.1): Address already in use",
    ],
  ] as const) {
    it(`refuses what would be taken twice: ${message}`, () => {
      assert.throws(() => completeSubnet(config("10.0.0.0/24", rest)), {
        kind: "internal",
        message,
      });
    });
  }

  it("keeps the gateway named, in canonical form", () => {
    assert.equal(completeSubnet(config("fd00::/64", { gateway: "fd00:0::9" })).gateway, "fd00::9");
  });

  it("has no gateway in an IPv6 subnet of one address", () => {
    assert.throws(() => completeSubnet(config("fd00::1/128")), {
      kind: "internal",
      message: "failed to allocate gateway (): no available addresses on this pool",
    });
  });
});
