import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkVlanOptions, isRoutedByParent, vlanParent } from "./parent-link.ts";

describe("the parent of a macvlan network", () => {
  it("may be a VLAN of a link that is there", () => {
    const made = { kind: "vlan", name: "eth0.10", below: "eth0", id: 10 };
    assert.deepEqual(vlanParent("eth0.10", ["lo", "eth0"]), made);
  });

  for (const [name, message] of [
    ["nosuch", "invalid subinterface vlan name nosuch, example formatting is eth0.10"],
    ["eth9.10", "-o parent interface was not found on the host: eth9"],
    ["eth0.x", "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"],
    ["eth0.5000", "vlan id must be between 1-4094, received: 5000"],
    [
      "eth0.1.2",
      "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received eth0.1.2",
    ],
  ] as const) {
    it(`is refused: ${message}`, () => {
      assert.throws(() => vlanParent(name, ["eth0"]), { kind: "internal", message });
    });
  }

  it("is never the loopback, and the mode is a known one", () => {
    checkVlanOptions("ipvlan", { parent: "eth0", ipvlan_mode: "l3s" });
    assert.throws(() => {
      checkVlanOptions("macvlan", { parent: "lo" });
    }, /loopback interface is not a valid macvlan parent link/);
    assert.throws(() => {
      checkVlanOptions("macvlan", { macvlan_mode: "l2" });
    }, /requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default/);
  });

  it("routes itself for ipvlan in the modes of layer 3 alone", () => {
    for (const [driver, mode, isRouted] of [
      ["ipvlan", "l3", true],
      ["ipvlan", "l3s", true],
      ["ipvlan", "l2", false],
      ["macvlan", "bridge", false],
    ] as const) {
      const options = { [`${driver}_mode`]: mode };
      assert.equal(isRoutedByParent(driver, { options }), isRouted, mode);
    }
    assert.equal(isRoutedByParent("ipvlan", { options: {} }), false);
  });
});
