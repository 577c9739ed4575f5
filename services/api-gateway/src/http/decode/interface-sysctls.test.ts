import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { placeInterfaceSysctls, type SysctlWish } from "./interface-sysctls.ts";

const option = "com.docker.network.endpoint.sysctls";

function place(version: number, wish: Partial<SysctlWish>) {
  const sysctls = { "net.ipv4.conf.eth0.rp_filter": "2", "net.core.somaxconn": "9" };
  return placeInterfaceSysctls({ sysctls, networkMode: "", endpoints: {}, ...wish }, version);
}

describe("sysctls of an interface", () => {
  it("go to the main endpoint below 1.48, with a warning", () => {
    assert.deepEqual(place(47, {}), {
      sysctls: { "net.core.somaxconn": "9" },
      endpoints: { bridge: { driverOpts: { [option]: "net.ipv4.conf.IFNAME.rp_filter=2" } } },
      warnings: [
        `Migrated sysctl "net.ipv4.conf.eth0.rp_filter" to DriverOpts{"${option}":"net.ipv4.conf.IFNAME.rp_filter=2"}.`,
      ],
    });
  });

  it("come before those that the endpoint has of its own", () => {
    const endpoints = {
      n: { aliases: ["a"], driverOpts: { [option]: "net.ipv4.conf.IFNAME.x=3" } },
    };
    assert.deepEqual(place(47, { networkMode: "n", endpoints }).endpoints, {
      n: {
        aliases: ["a"],
        driverOpts: { [option]: "net.ipv4.conf.IFNAME.rp_filter=2,net.ipv4.conf.IFNAME.x=3" },
      },
    });
  });

  it("go to the one endpoint of a version that has no more", () => {
    const placed = place(43, { networkMode: "n", endpoints: { other: {} } });
    assert.deepEqual(Object.keys(placed.endpoints), ["other"]);
    assert.throws(() => place(44, { networkMode: "n", endpoints: { other: {} } }), {
      kind: "invalid_argument",
      message:
        "unable to find a network for sysctl net.ipv4.conf.eth0.rp_filter: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
    });
  });

  it("stay where the network is shared", () => {
    for (const networkMode of ["host", "container:x"]) {
      for (const version of [47, 52]) {
        assert.equal(place(version, { networkMode }).sysctls["net.ipv4.conf.eth0.rp_filter"], "2");
      }
    }
  });

  it("are refused of an interface that may be any endpoint's", () => {
    const sysctls = { "net.ipv4.conf.eth1.rp_filter": "2" };
    assert.throws(() => place(47, { sysctls }), {
      kind: "internal",
      message: `unable to determine network endpoint for sysctl net.ipv4.conf.eth1.rp_filter, use driver option '${option}' to set per-interface sysctls`,
    });
  });
});
