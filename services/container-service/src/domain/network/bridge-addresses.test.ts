import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addressChanges } from "./bridge-addresses.ts";

const changes = (
  isFound: boolean,
  has: readonly string[],
  addresses: readonly string[],
  ipv6 = addresses.some((each) => each.includes(":")),
): ReturnType<typeof addressChanges> => addressChanges({ addresses, ipv6, isFound }, has);

describe("addresses of a bridge of ours", () => {
  it("are those of the network and no other", () => {
    assert.deepEqual(changes(false, ["10.1.0.1/24", "10.2.0.1/24"], ["10.2.0.1/24"]), {
      remove: ["10.1.0.1/24"],
      add: [],
    });
  });

  it("of IPv6 have gone when it was switched off", () => {
    assert.deepEqual(changes(false, ["fd01::1/64"], ["10.2.0.1/24"]), {
      remove: [],
      add: ["10.2.0.1/24"],
    });
  });
});

describe("addresses of a bridge that was there", () => {
  it("stay where the network has its own among them, or none", () => {
    const has = ["10.1.0.7/24", "10.2.0.1/24", "fd01::7/64"];
    assert.deepEqual(changes(true, has, ["10.2.0.1/24"]), { remove: [], add: [] });
    assert.deepEqual(changes(true, has, []), { remove: [], add: [] });
  });

  it("give way to the network's: of its subnet, else the first", () => {
    const has = ["10.1.0.7/24", "10.2.0.7/24", "fd01::7/64"];
    assert.deepEqual(changes(true, has, ["10.2.0.1/24"]), {
      remove: ["10.2.0.7/24"],
      add: ["10.2.0.1/24"],
    });
    assert.deepEqual(changes(true, has, ["10.3.0.1/24"]), {
      remove: ["10.1.0.7/24"],
      add: ["10.3.0.1/24"],
    });
  });

  it("of IPv6 are the network's alone where it has some", () => {
    assert.deepEqual(changes(true, ["10.1.0.7/24", "fd01::7/64"], ["fd02::1/64"]), {
      remove: ["fd01::7/64"],
      add: ["fd02::1/64"],
    });
  });
});
