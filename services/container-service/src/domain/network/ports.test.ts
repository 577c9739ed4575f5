import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Address, parseAddress } from "./address.ts";
import { PortAllocator } from "./port-allocator.ts";
import { type PortRange, parseContainerPort, parseExposedPort, wantedPorts } from "./port-spec.ts";

const all4: Address = { family: 4, value: 0n };
const all6: Address = { family: 6, value: 0n };

function address(text: string): Address {
  return parseAddress(text) ?? assert.fail(text);
}

function only(port: number): PortRange {
  return { first: port, last: port };
}

function allocator(): PortAllocator {
  return new PortAllocator({ first: 40_000, last: 40_003 }, new Set([40_001]));
}

describe("port notation", () => {
  it("defaults to tcp", () => {
    assert.deepEqual(parseContainerPort("80"), { port: 80, protocol: "tcp" });
  });

  for (const text of ["", "0/tcp", "65536/tcp", "80/icmp", "80/tcp/x", "a/tcp", "-1"]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseContainerPort(text), { kind: "invalid_argument" });
    });
  }

  it("takes an exposed port that is no number for port 0, as dockerd does", () => {
    for (const text of [
      "0",
      "x/udp",
      "8000-8002/udp",
      "65536/tcp",
      "-1",
      " 80/tcp",
      "80/",
      "080/TCP/x",
    ]) {
      const [, protocol] = text.split("/");
      assert.deepEqual(parseExposedPort(text), {
        port: text.startsWith("80/") || text.startsWith("080/") ? 80 : 0,
        protocol: protocol === "udp" ? "udp" : "tcp",
      });
    }
    for (const text of ["", "/tcp", "80/icmp"]) {
      const message = `invalid port specification: "${text}"`;
      assert.throws(() => parseExposedPort(text), { kind: "invalid_argument", message });
    }
    assert.equal(wantedPorts([], ["x", "0/tcp", "80", "080"], true).length, 1);
  });

  it("takes an empty list of bindings as one ephemeral port", () => {
    assert.deepEqual(wantedPorts([{ port: "80/tcp", bindings: [] }], ["80"], false), [
      { container: { port: 80, protocol: "tcp" } },
    ]);
  });

  it("publishes nothing for a binding of a port that is not exposed", () => {
    const bindings = [{ hostIp: "", hostPort: "8080" }];
    assert.deepEqual(wantedPorts([{ port: "80/tcp", bindings }], ["80/udp"], false), []);
    assert.equal(wantedPorts([{ port: "80/tcp", bindings }], ["80"], false).length, 1);
  });

  it("publishes all exposed ports that have no binding of their own", () => {
    const bindings = [{ hostIp: "", hostPort: "8080" }];
    const wanted = wantedPorts([{ port: "80/tcp", bindings }], ["80/tcp", "53/udp"], true);
    assert.deepEqual(
      wanted.map(({ container, hostPorts }) => [container.port, hostPorts?.first]),
      [
        [80, 8080],
        [53, undefined],
      ],
    );
  });

  for (const [hostIp, hostPort] of [
    ["x", "80"],
    ["", "80-70"],
    ["", "99999"],
    ["", "0-5"],
  ] as const) {
    it(`refuses the binding ${hostIp}:${hostPort}`, () => {
      const request = { port: "80/tcp", bindings: [{ hostIp, hostPort }] };
      assert.throws(() => wantedPorts([request], [], false), { kind: "invalid_argument" });
    });
  }
});

describe("port allocator", () => {
  it("gives ephemeral ports in turn, by protocol and address, and skips reserved ones", () => {
    const ports = allocator();
    const next = (protocol: "tcp" | "udp", of: Address): number[] => [
      ...ports.candidates(protocol, [of], undefined),
    ];
    assert.deepEqual(next("tcp", all4), [40_000, 40_002, 40_003]);
    ports.hold("tcp", [all4, all6], 40_000, undefined);
    assert.deepEqual(next("tcp", all4), [40_002, 40_003, 40_000]);
    assert.deepEqual(next("tcp", all6), [40_002, 40_003, 40_000]);
    assert.equal(next("udp", all4)[0], 40_000);
    assert.equal(next("tcp", address("127.0.0.1"))[0], 40_000);
  });

  it("goes on in turn in each range, whose first port comes after its last", () => {
    const ports = allocator();
    const range = { first: 8000, last: 8002 };
    const next = (of: PortRange): number[] => [...ports.candidates("tcp", [all4], of)];
    ports.hold("tcp", [all4], 8000, range);
    ports.giveBack({ protocol: "tcp", address: all4, port: 8000 });
    assert.deepEqual(next(range), [8001, 8002, 8000]);
    assert.deepEqual(next({ first: 8000, last: 8001 }), [8000, 8001]);
    ports.hold("tcp", [all4], 8002, range);
    assert.deepEqual(next(range), [8000, 8001, 8002]);
    ports.hold("tcp", [all4], 8000, only(8000));
    assert.deepEqual(next(only(8000)), [8000]);
  });

  it("refuses a held port with Docker's text, which names the address that is held", () => {
    const ports = allocator();
    const refused = (asked: readonly Address[], port: number, held: string): void => {
      assert.throws(() => ports.hold("tcp", asked, port, only(port)), {
        message: `Bind for ${held}:${port} failed: port is already allocated`,
      });
    };
    ports.hold("tcp", [all4, all6], 8080, only(8080));
    refused([all4], 8080, "0.0.0.0");
    refused([address("127.0.0.1")], 8080, "0.0.0.0");
    refused([all6], 8080, "::");
    ports.hold("tcp", [address("127.0.0.1"), address("::1")], 8081, only(8081));
    refused([all4, all6], 8081, "127.0.0.1");
    refused([all6], 8081, "::1");
  });

  it("takes a specific address for a conflict with all addresses, not with another one", () => {
    const ports = allocator();
    ports.hold("tcp", [address("127.0.0.1")], 80, only(80));
    assert.ok(!ports.isFree("tcp", all4, 80));
    assert.ok(ports.isFree("tcp", address("10.0.0.1"), 80));
    assert.ok(ports.isFree("udp", all4, 80));
    assert.ok(ports.isFree("tcp", all6, 80));
  });

  it("holds nothing when one of several addresses is taken", () => {
    const ports = allocator();
    ports.hold("tcp", [all6], 80, only(80));
    assert.throws(() => {
      ports.hold("tcp", [all4, all6], 80, only(80));
    });
    assert.ok(ports.isFree("tcp", all4, 80));
  });

  it("frees what is given back", () => {
    const ports = allocator();
    ports.hold("tcp", [all4], 80, only(80));
    ports.giveBack({ protocol: "tcp", address: all4, port: 80 });
    assert.ok(ports.isFree("tcp", all4, 80));
  });
});
