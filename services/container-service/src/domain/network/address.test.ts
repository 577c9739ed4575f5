import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  containsAddress,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseInterfaceAddress,
  parseSubnet,
} from "./address.ts";

describe("addresses", () => {
  for (const [text, canonical] of [
    ["172.17.0.1", "172.17.0.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["FD00:0:0::1", "fd00::1"],
    ["::", "::"],
    ["::1", "::1"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["::ffff:1.2.3.4", "::ffff:102:304"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"],
  ] as const) {
    it(`reads ${text} and writes ${canonical}`, () => {
      const address = parseAddress(text);
      assert.ok(address);
      assert.equal(formatAddress(address), canonical);
    });
  }

  for (const text of ["", "1.2.3", "1.2.3.256", "fe80::1%eth0", "::g", " 1.2.3.4"]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.equal(parseAddress(text), undefined);
    });
  }

  it("reads an address with its subnet", () => {
    const parsed = parseInterfaceAddress("172.17.5.6/16");
    assert.ok(parsed);
    assert.equal(formatSubnet(parsed.subnet), "172.17.0.0/16");
    assert.ok(containsAddress(parsed.subnet, parsed.address));
  });

  for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129"]) {
    it(`refuses the subnet ${text}`, () => {
      assert.equal(parseSubnet(text), undefined);
    });
  }

  it("finds overlaps only within a family", () => {
    const subnet = (text: string) => parseSubnet(text) ?? assert.fail(text);
    assert.ok(overlaps(subnet("10.0.0.0/8"), subnet("10.1.0.0/16")));
    assert.ok(overlaps(subnet("10.1.0.0/16"), subnet("10.0.0.0/8")));
    assert.ok(!overlaps(subnet("10.0.0.0/16"), subnet("10.1.0.0/16")));
    assert.ok(!overlaps(subnet("0.0.0.0/0"), subnet("::/0")));
  });
});
