import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { interfaceSysctls, isInterfaceSysctl, sysctlPath } from "./interface-sysctls.ts";
import type { LiveEndpoint } from "./records.ts";

const live: LiveEndpoint = {
  endpointId: "",
  interfaceName: "eth1",
  hostName: "gtry_1",
  macAddress: "",
  ipv4: "",
  ipv6: "",
  gateway4: "",
  gateway6: "",
};

function read(text: string) {
  return interfaceSysctls(live, {
    driverOpts: { "com.docker.network.endpoint.sysctls": text },
  });
}

describe("sysctls of an interface", () => {
  it("are read one after the other, for the interface that it will be", () => {
    const asked = read("net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.ifname.x=a=b");
    assert.deepEqual(
      asked.map((each) => [sysctlPath(each, "eth1"), each.value]),
      [
        ["net/ipv4/conf/eth1/log_martians", "1"],
        ["net/ipv6/neigh/eth1/x", "a=b"],
      ],
    );
  });

  it("have a value", () => {
    assert.throws(() => read("net.ipv4.conf.IFNAME.log_martians"), {
      kind: "internal",
      message:
        "failed to add interface gtry_1 to sandbox: expected sysctl 'net.ipv4.conf.IFNAME.log_martians' to have format name=value",
    });
  });

  it("stay below the interface's folders", () => {
    for (const [text, isOwn] of [
      ["net.ipv4.conf.IFNAME.log_martians=1", true],
      ["net.ipv4.foo.IFNAME.bar=1", false],
      ["net.ipv4.conf.IFNAME./../all/forwarding=1", false],
      ["net/../kernel.ipv4.conf.IFNAME.x=1", false],
    ] as const) {
      assert.deepEqual(read(text).map(isInterfaceSysctl), [isOwn], text);
    }
  });
});
