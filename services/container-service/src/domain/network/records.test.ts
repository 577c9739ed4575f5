import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keptPort, type NetworkRecord, type PublishedPort, shownSubnets } from "./records.ts";

describe("a published port that was kept", () => {
  const port: PublishedPort = {
    container: { port: 80, protocol: "tcp" },
    protocol: "tcp",
    hostIp: "0.0.0.0",
    targetIpv4: "10.0.0.2",
    targetIpv6: "",
  };

  it("is none of the host's where an earlier version wrote 0", () => {
    assert.deepEqual(keptPort({ ...port, hostPort: 0 }), port);
    assert.deepEqual(keptPort(port), port);
    assert.deepEqual(keptPort({ ...port, hostPort: 8080 }), { ...port, hostPort: 8080 });
  });
});

describe("subnets as inspect shows them", () => {
  it("are what was asked for, IPv4 first, then what was chosen", () => {
    const of = (subnet: string, isChosen = false) => ({
      subnet,
      ipRange: "",
      gateway: "",
      auxiliaryAddresses: {},
      isChosen,
    });
    const ipam: NetworkRecord["ipam"] = {
      driver: "default",
      options: {},
      config: [of("fd00::/64"), of("172.18.0.0/16", true)],
      unused: [of("10.1.0.0/16")],
    };
    assert.deepEqual(
      shownSubnets({ ipam } as NetworkRecord).map(({ subnet }) => subnet),
      ["10.1.0.0/16", "fd00::/64", "172.18.0.0/16"],
    );
  });
});
