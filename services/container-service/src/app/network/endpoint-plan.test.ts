import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NetworkRecord } from "../../domain/network/records.ts";
import { chooseGateways, defaultWays, type PlacedEndpoint } from "./endpoint-plan.ts";

let count = 0;

/** An endpoint with what the choice looks at. */
function place(
  name: string,
  gateways: readonly [ipv4: string, ipv6: string],
  rest: Partial<NetworkRecord> & { readonly gwPriority?: number } = {},
): PlacedEndpoint {
  const { gwPriority = 0, ...network } = rest;
  return {
    network: { ...emptyNetwork, name, id: name, ...network },
    endpoint: {
      networkRef: name,
      networkId: name,
      wish: { links: [], aliases: [], driverOpts: {}, gwPriority, macAddress: "" },
      live: {
        endpointId: name,
        interfaceName: `eth${count++}`,
        hostName: "",
        macAddress: "",
        ipv4: "10.0.0.2/24",
        ipv6: gateways[1] === "" ? "" : "fd00::2/64",
        gateway4: gateways[0],
        gateway6: gateways[1],
      },
    },
  };
}

const emptyNetwork: NetworkRecord = {
  id: "",
  name: "",
  createdNano: "0",
  driver: "bridge",
  enableIpv4: true,
  enableIpv6: false,
  internal: false,
  attachable: false,
  configOnly: false,
  configFrom: "",
  ipam: { driver: "default", options: {}, config: [] },
  options: {},
  labels: {},
  link: "",
};

const chosen = (placed: readonly PlacedEndpoint[]): (string | undefined)[] => {
  const { ipv4, ipv6 } = chooseGateways(placed);
  return [ipv4?.network.name, ipv6?.network.name];
};

describe("default routes", () => {
  it("are those of the highest priority, then of both families, then of the first name", () => {
    const four = place("a", ["10.0.0.1", ""]);
    const other = place("b", ["10.1.0.1", ""]);
    const both = place("z", ["10.2.0.1", "fd02::1"]);
    const six = place("c", ["", "fd03::1"]);
    assert.deepEqual(chosen([other, four]), ["a", undefined]);
    assert.deepEqual(chosen([other, six, four, both]), ["z", "z"]);
    assert.deepEqual(chosen([six, other]), ["b", "c"]);
    const asked = place("y", ["10.4.0.1", ""], { gwPriority: 1 });
    assert.deepEqual(chosen([four, both, asked]), ["y", "z"]);
  });

  it("lead to the link where the parent routes, as long as there is no gateway", () => {
    const routed = place("r", ["", ""], { driver: "ipvlan", options: { ipvlan_mode: "l3" } });
    const internal = place("i", ["", ""], { internal: true });
    const ways = (...placed: PlacedEndpoint[]): unknown =>
      defaultWays(placed, chooseGateways(placed)).ipv4;
    const link = routed.endpoint.live.interfaceName;
    assert.deepEqual(ways(routed), { gateway: "", link });
    assert.deepEqual(ways(internal, routed), { gateway: "", link });
    const bridge = place("b", ["10.1.0.1", ""]);
    assert.deepEqual(ways(routed, bridge), { gateway: "10.1.0.1", link: "" });
    assert.deepEqual(ways(internal), { gateway: "", link: "" });
  });
});
