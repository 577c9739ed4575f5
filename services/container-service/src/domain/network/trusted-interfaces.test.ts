import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  checkTrustedInterfaces,
  interfacePatterns,
  trustedInterfaces,
} from "./trusted-interfaces.ts";

describe("trusted interfaces", () => {
  it("are what stands between colons", () => {
    assert.deepEqual(trustedInterfaces(""), []);
    assert.deepEqual(trustedInterfaces("::eth0:wl+:"), ["eth0", "wl+"]);
  });

  it("are patterns only with a plus at the end", () => {
    const patterns = interfacePatterns(["wl+", "+", "e+0", "eth*", "eth0"]);
    assert.deepEqual(patterns, ["wl*", "*", "e+0", "eth\\*", "eth0"]);
  });

  it("are refused when no interface can have the name, and when no rule can say it", () => {
    checkTrustedInterfaces(["fifteen-letters", "wl+"]);
    assert.throws(
      () => checkTrustedInterfaces(["eth0", "sixteen--letters"]),
      /interface name `sixteen--letters' must be shorter than IFNAMSIZ \(15\)/,
    );
    for (const name of ["a b", "a/b", 'a"b', "a\nb"]) {
      assert.throws(() => checkTrustedInterfaces([name]), /weird character in interface/);
      assert.deepEqual(interfacePatterns([name]), []);
    }
  });
});
