import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseInterfaceName } from "./interface-name.ts";

const choose = (wanted: string, ...used: string[]): string =>
  chooseInterfaceName({ wanted, prefix: "eth", hostName: "h", usedNames: new Set(used) });

describe("the name of an interface", () => {
  it("has the first free number, where none is wanted", () => {
    assert.equal(choose("", "eth0", "eth2"), "eth1");
  });

  it("is the wanted one, with the first free number for %d", () => {
    assert.equal(choose("lan"), "lan");
    assert.equal(choose("x%d", "x0"), "x1");
    assert.equal(choose("x%dy", "x0"), "x0y");
  });

  it("is refused with the kernel's reasons", () => {
    for (const name of ["a/b", "a b", "a:b", "..", "x%s", "x%d%d", "%"]) {
      assert.throws(() => choose(name), /error renaming interface "h" to ".*": invalid argument/);
    }
    assert.throws(() => choose("x", "x"), /to "x": file exists/);
    assert.throws(() => choose("lo"), /to "lo": file exists/);
    assert.throws(() => choose("sixteen--letters"), /numerical result out of range/);
  });
});
