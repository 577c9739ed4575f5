import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSubnet } from "./address.ts";
import {
  checkEndpointWish,
  checkNetworkChoice,
  type NetworkChoice,
  parseExtraHost,
  parseLink,
} from "./declare-rules.ts";
import { parseMode } from "./network-modes.ts";
import type { EndpointWish } from "./records.ts";

function choice(mode: string, rest: Partial<NetworkChoice> = {}): NetworkChoice {
  return {
    mode: parseMode(mode),
    hostname: "",
    domainname: "",
    utsMode: "",
    exposedPorts: [],
    portBindings: [],
    publishAllPorts: false,
    dns: [],
    dnsOptions: [],
    dnsSearch: [],
    extraHosts: [],
    links: [],
    macAddress: "",
    ...rest,
  };
}

function wish(rest: Partial<EndpointWish>): EndpointWish {
  return { links: [], aliases: [], driverOpts: {}, gwPriority: 0, macAddress: "", ...rest };
}

describe("network choice of a new container", () => {
  it("is accepted when it is plain", () => {
    for (const mode of ["bridge", "host", "none", "container:x", "net"]) {
      checkNetworkChoice(choice(mode));
    }
  });

  for (const [mode, rest, message] of [
    ["container:x", { hostname: "h" }, "conflicting options: hostname and the network mode"],
    [
      "container:x",
      { portBindings: [{ port: "80", bindings: [] }] },
      "conflicting options: port publishing and the container type network mode",
    ],
    [
      "container:x",
      { exposedPorts: ["80/tcp"] },
      "conflicting options: port exposing and the container type network mode",
    ],
    ["container:x", { dns: ["1.1.1.1"] }, "conflicting options: dns and the network mode"],
    [
      "container:x",
      { extraHosts: ["a:1.1.1.1"] },
      "conflicting options: custom host-to-IP mapping and the network mode",
    ],
    [
      "container:x",
      { macAddress: "02:00:00:00:00:01" },
      "conflicting options: mac-address and the network mode",
    ],
    ["container:", {}, "invalid network mode: invalid container format container:<name|id>"],
    [
      "host",
      { links: ["a:b"] },
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    ],
  ] as const) {
    it(`refuses ${mode} with ${JSON.stringify(rest)}`, () => {
      assert.throws(
        () => {
          checkNetworkChoice(choice(mode, rest));
        },
        { kind: "invalid_argument", message },
      );
    });
  }

  // dockerd writes them as they are; resolver(5) has words in a line, and a `#` only at its begin.
  it("takes resolver options and search domains of any words, and servers on a link", () => {
    const wishes = { dnsOptions: ["use vc", "", "a#b"], dnsSearch: ["a b", ""] };
    checkNetworkChoice(choice("net", { ...wishes, dns: ["fe80::1%eth0"] }));
  });

  for (const rest of [
    { hostname: "a\nb" },
    { domainname: "a b" },
    { dns: ["nowhere"] },
    { dns: ["1.1.1.1\nnameserver 2.2.2.2"] },
    { dns: ["fe80::1%a\nb"] },
    { dns: ["1.1.1.1%eth0"] },
    { dnsSearch: ["a\nb"] },
    { dnsOptions: ["x\ny"] },
    { extraHosts: ["a\nb:1.1.1.1"] },
    { extraHosts: ["a:nowhere"] },
    { extraHosts: ["a=1.2.3.4"] },
    { macAddress: "zz" },
    { portBindings: [{ port: "80/x", bindings: [] }] },
  ]) {
    it(`refuses ${JSON.stringify(rest)}, which would not stay what it is in a file`, () => {
      assert.throws(
        () => {
          checkNetworkChoice(choice("bridge", rest));
        },
        { kind: "invalid_argument" },
      );
    });
  }
});

describe("endpoint settings", () => {
  it("may not name addresses or aliases on the default bridge", () => {
    const asked = wish({
      aliases: ["a"],
      ipamConfig: { ipv4Address: "172.17.0.9", ipv6Address: "", linkLocalIps: [] },
    });
    assert.throws(() => {
      checkEndpointWish({ name: "bridge", subnets: undefined }, asked);
    }, /\* user specified IP address is supported on user defined networks only\n\* network-scoped aliases are only supported for user-defined networks/);
    checkEndpointWish({ name: "mine", subnets: undefined }, asked);
  });

  it("must hold addresses of the right family", () => {
    const asked = wish({
      ipamConfig: { ipv4Address: "::1", ipv6Address: "1.2.3.4", linkLocalIps: [] },
    });
    assert.throws(() => {
      checkEndpointWish({ name: "mine", subnets: undefined }, asked);
    }, /\* invalid IPv4 address: ::1\n\* invalid IPv6 address: 1\.2\.3\.4/);
  });
});

describe("endpoint settings of a network that is there", () => {
  const network = {
    name: "mine",
    subnets: [parseSubnet("10.1.0.0/24")].filter((each) => each !== undefined),
  };
  for (const [ipamConfig, problem] of [
    [
      { ipv4Address: "10.2.0.9", ipv6Address: "" },
      "no configured subnet or ip-range contain the IP address 10.2.0.9",
    ],
    [
      { ipv4Address: "", ipv6Address: "fd00::1" },
      "user specified IP address is supported only when connecting to networks with user configured subnets",
    ],
  ] as const) {
    it(`are refused: ${problem}`, () => {
      assert.throws(
        () => {
          checkEndpointWish(network, wish({ ipamConfig: { ...ipamConfig, linkLocalIps: [] } }));
        },
        { kind: "invalid_argument", message: `invalid endpoint settings:\n${problem}` },
      );
    });
  }

  it("may name sysctls of the interface only", () => {
    const asked = wish({
      driverOpts: { "com.docker.network.endpoint.sysctls": "net.ipv4.tcp_ecn=1" },
    });
    assert.throws(() => {
      checkEndpointWish(network, asked);
    }, /unrecognised network interface sysctl 'net\.ipv4\.tcp_ecn=1'/);
  });
});

describe("legacy notations", () => {
  it("reads extra hosts with either separator and brackets", () => {
    assert.deepEqual(parseExtraHost("a:::1"), { name: "a", address: "::1" });
    assert.deepEqual(parseExtraHost("a:[::1]"), { name: "a", address: "::1" });
    assert.deepEqual(parseExtraHost("h:host-gateway"), { name: "h", address: "host-gateway" });
  });

  it("reads links as given and as inspect shows them", () => {
    assert.deepEqual(parseLink("db"), { container: "db", alias: "db" });
    assert.deepEqual(parseLink("db:d"), { container: "db", alias: "d" });
    assert.deepEqual(parseLink("db:/d"), { container: "db", alias: "d" });
    assert.deepEqual(parseLink("/db:/web/d"), { container: "db", alias: "d" });
  });

  for (const [text, message] of [
    ["a:b:c", "bad format for links: a:b:c"],
    ["", "empty string specified for links"],
  ] as const) {
    it(`refuses the link ${JSON.stringify(text)}, as nobody's fault but the engine's`, () => {
      assert.throws(() => parseLink(text), { kind: "internal", message });
    });
  }
});
