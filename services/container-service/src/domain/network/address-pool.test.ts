import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Address, formatAddress, parseAddress, parseSubnet } from "./address.ts";
import { AddressPool } from "./address-pool.ts";

function address(text: string): Address {
  return parseAddress(text) ?? assert.fail(text);
}

function pool(subnet: string, options: { range?: string; reserved?: string[] } = {}): AddressPool {
  const { range, reserved = [] } = options;
  return new AddressPool({
    subnet: parseSubnet(subnet) ?? assert.fail(subnet),
    range: range === undefined ? undefined : parseSubnet(range),
    reserved: reserved.map(address),
  });
}

/** The next address of a pool that has one. */
function taken(pool: AddressPool): Address {
  const address = pool.take();
  assert.ok(address);
  return address;
}

describe("address pool", () => {
  it("gives the addresses after the gateway in turn", () => {
    const addresses = pool("172.17.0.0/16", { reserved: ["172.17.0.1"] });
    assert.equal(addresses.format(taken(addresses)), "172.17.0.2/16");
    assert.equal(addresses.format(taken(addresses)), "172.17.0.3/16");
  });

  it("gives the lowest address that is free, whichever was given back last", () => {
    const addresses = pool("10.0.0.0/24");
    for (let i = 0; i < 5; i++) taken(addresses);
    for (const value of ["10.0.0.2", "10.0.0.4"]) addresses.giveBack(address(value));
    addresses.takeThis(address("10.0.0.6"));
    const given = Array.from({ length: 3 }, () => formatAddress(taken(addresses)));
    assert.deepEqual(given, ["10.0.0.2", "10.0.0.4", "10.0.0.7"]);
  });

  it("keeps to its range when a static address below it is given back", () => {
    const addresses = pool("10.0.0.0/24", { range: "10.0.0.128/30" });
    addresses.takeThis(address("10.0.0.5"));
    addresses.giveBack(address("10.0.0.5"));
    assert.equal(formatAddress(taken(addresses)), "10.0.0.128");
  });

  it("gives every host address of a small subnet once, then refuses", () => {
    const addresses = pool("10.0.0.0/29", { reserved: ["10.0.0.1"] });
    const given = Array.from({ length: 5 }, () => formatAddress(taken(addresses)));
    assert.deepEqual(given, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    assert.equal(addresses.take(), undefined);
    addresses.giveBack(address("10.0.0.4"));
    assert.equal(formatAddress(taken(addresses)), "10.0.0.4");
  });

  it("gives dynamic addresses from its range only, static ones from the whole subnet", () => {
    const addresses = pool("10.0.0.0/24", { range: "10.0.0.128/30" });
    assert.equal(formatAddress(taken(addresses)), "10.0.0.128");
    addresses.takeThis(address("10.0.0.5"));
    assert.throws(() => {
      addresses.takeThis(address("10.0.0.5"));
    }, /Address already in use/);
    assert.throws(
      () => {
        addresses.takeThis(address("10.0.1.5"));
      },
      { kind: "invalid_argument" },
    );
  });

  it("tells how full it is", () => {
    const use = pool("10.0.0.0/24", { reserved: ["10.0.0.1"] }).use();
    assert.deepEqual(use, { inUse: 3n, available: 253n });
  });

  it("gives the lowest address that nobody has, whatever is taken and given back", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (steps) => {
        const addresses = pool("10.0.0.0/27");
        const held = new Set<bigint>();
        const base = address("10.0.0.0").value;
        for (const isTake of steps) {
          if (isTake && held.size < 30) {
            const { value } = taken(addresses);
            assert.ok(!held.has(value));
            for (let lower = base + 1n; lower < value; lower++) assert.ok(held.has(lower));
            held.add(value);
          } else {
            const [value] = held;
            if (value === undefined) continue;
            addresses.giveBack({ family: 4, value });
            held.delete(value);
          }
        }
      }),
    );
  });
});
