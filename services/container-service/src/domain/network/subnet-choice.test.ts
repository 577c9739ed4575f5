import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatSubnet, parseSubnet, type Subnet } from "./address.ts";
import { chooseSubnet, chooseUniqueLocalSubnet } from "./subnet-choice.ts";

const pools = [
  { base: "172.17.0.0/16", size: 16 },
  { base: "172.20.0.0/14", size: 16 },
  { base: "192.168.0.0/16", size: 20 },
];

function subnets(...texts: string[]): Subnet[] {
  return texts.map((text) => parseSubnet(text) ?? assert.fail(text));
}

describe("choice of a subnet", () => {
  it("takes the first of the pools", () => {
    assert.equal(formatSubnet(chooseSubnet(pools, [])), "172.17.0.0/16");
  });

  it("avoids what networks, links and routes use", () => {
    const taken = subnets("172.17.0.0/16", "172.20.3.0/24", "172.21.0.0/16");
    assert.equal(formatSubnet(chooseSubnet(pools, taken)), "172.22.0.0/16");
  });

  it("steps over a used range that is larger than a subnet", () => {
    const taken = subnets("172.16.0.0/12", "192.168.0.0/18");
    assert.equal(formatSubnet(chooseSubnet(pools, taken)), "192.168.64.0/20");
  });

  it("refuses when nothing is left", () => {
    assert.throws(() => chooseSubnet(pools, subnets("0.0.0.0/0")), {
      message: "all predefined address pools have been fully subnetted",
    });
  });

  it("makes IPv6 subnets from the engine's own prefix", () => {
    const first = chooseUniqueLocalSubnet(0x12_3456_789an, []);
    assert.equal(formatSubnet(first), "fd12:3456:789a::/64");
    assert.equal(
      formatSubnet(chooseUniqueLocalSubnet(0x12_3456_789an, [first])),
      "fd12:3456:789a:1::/64",
    );
  });
});
