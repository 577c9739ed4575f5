/** Scenarios of networks with real packets, each in a network namespace of its own: `scenarios.ts <name>`. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { untilPasses } from "@gantry/testkit/until-passes";
import {
  besideDockerd,
  cutShort,
  flushed,
  foundBridge,
  relayKilled,
  restarted,
  type Scenario,
  tornDown,
} from "./disturbances.ts";
import { brieflyMs } from "./peer.ts";
import { World } from "./world.ts";

const publishedPorts: Scenario = async (world) => {
  const web = await world.run("web", { publish: ["8080:80/tcp", "5353:53/udp"] });
  const other = await world.run("other");
  await web.place.serve("tcp", 80);
  await web.place.serve("udp", 53);
  // From outside the container sees who asks.
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "10.99.0.2");
  assert.equal(await world.outside.ask("udp", "10.99.0.1", 5353), "10.99.0.2");
  // IPv6 reaches an IPv4 container through the relay.
  assert.equal(await world.outside.ask("tcp", "fd99::1", 8080), "172.16.0.1");
  // The host itself: by its own address through the kernel, by the loopback through the relay.
  assert.equal(await world.ask("tcp", "10.99.0.1", 8080), "10.99.0.1");
  assert.equal(await world.ask("tcp", "127.0.0.1", 8080), "172.16.0.1");
  assert.equal(await world.ask("udp", "127.0.0.1", 5353), "172.16.0.1");
  assert.equal(await world.ask("tcp", "::1", 8080), "172.16.0.1");
  // Neighbours, and the container itself, by the host's address.
  assert.equal(await other.place.ask("tcp", "10.99.0.1", 8080), "172.16.0.1");
  await untilPasses(async () => {
    assert.equal(await web.place.ask("tcp", "10.99.0.1", 8080), "172.16.0.1");
  });
  assert.deepEqual(world.networking.settings(web.id).ports, [
    {
      port: "80/tcp",
      bindings: [
        { hostIp: "0.0.0.0", hostPort: "8080" },
        { hostIp: "::", hostPort: "8080" },
      ],
    },
    {
      port: "53/udp",
      bindings: [
        { hostIp: "0.0.0.0", hostPort: "5353" },
        { hostIp: "::", hostPort: "5353" },
      ],
    },
  ]);
  await web.stop();
  await untilPasses(async () => {
    assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "refused");
  });
};

const portConflicts: Scenario = async (world) => {
  await world.run("first", { publish: ["8080:80/tcp"] });
  const second = world.declare("second", { publish: ["9999:99/tcp", "8080:80/tcp"] });
  await assert.rejects(world.start(second), {
    kind: "internal",
    message:
      /driver failed programming external connectivity on endpoint second \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/,
  });
  assert.deepEqual(world.networking.settings(second).ports, []);
  // A program of the host has it.
  const server = net.createServer().listen(7070, "127.0.0.1");
  await once(server, "listening");
  await assert.rejects(world.run("third", { publish: ["7070:80/tcp"] }), /address already in use/);
  server.close();
  await once(server, "close");
  // Nothing of the failed ones was left behind: all of it can be had now.
  await world.run("fourth", { publish: ["7070:80/tcp", "9999:99/tcp"] });
};

const loopbackOnly: Scenario = async (world) => {
  const web = await world.run("web", { publish: ["127.0.0.1:8080:80/tcp"] });
  await web.place.serve("tcp", 80);
  assert.equal(await world.ask("tcp", "127.0.0.1", 8080), "172.16.0.1");
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "refused");
  // A neighbour who routes loopback addresses to us gets nothing, either.
  world.outside.run("ip", "link", "set", "lo", "down");
  world.outside.run(
    "ip",
    "route",
    "add",
    "127.0.0.1",
    "via",
    "10.99.0.1",
    "dev",
    "out1",
    "src",
    "10.99.0.2",
  );
  assert.notEqual(await world.outside.askBriefly("tcp", "127.0.0.1", 8080), "10.99.0.2");
};

const isolation: Scenario = async (world) => {
  await world.createNetwork("a");
  await world.createNetwork("b");
  await world.createNetwork("inside", { internal: true });
  await world.createNetwork("silent", {
    options: { "com.docker.network.bridge.enable_icc": "false" },
  });
  const inA = await world.run("in-a", { network: "a" });
  const alsoA = await world.run("also-a", { network: "a" });
  const inB = await world.run("in-b", { network: "b" });
  const within = await world.run("within", { network: "inside" });
  const alsoWithin = await world.run("also-within", { network: "inside" });
  const silent = await world.run("silent", { network: "silent" });
  const alsoSilent = await world.run("also-silent", { network: "silent" });
  for (const each of [inA, inB, within, silent]) await each.place.serve("tcp", 80);
  const a = inA.address("a");
  // Within a network everything, between networks nothing.
  assert.equal(await alsoA.place.ask("tcp", a, 80), alsoA.address("a"));
  assert.equal(await inB.place.askBriefly("tcp", a, 80), "timeout");
  assert.equal(await alsoA.place.askBriefly("tcp", inB.address("b"), 80), "timeout");
  // From outside, by a route to the bridge's subnet, nothing.
  assert.equal(await world.outside.askBriefly("tcp", a, 80), "timeout");
  // Internal: neighbours only; no way out, not even through a route of its own.
  assert.equal(
    await alsoWithin.place.ask("tcp", within.address("inside"), 80),
    alsoWithin.address("inside"),
  );
  await world.outside.serve("tcp", 80);
  assert.equal(await within.place.ask("tcp", "10.99.0.2", 80), "refused");
  const gateway = within.address("inside").replace(/\d+$/, "1");
  within.place.run("ip", "route", "add", "default", "via", gateway);
  assert.equal(await within.place.askBriefly("tcp", "10.99.0.2", 80), "timeout");
  assert.equal(await inA.place.askBriefly("tcp", within.address("inside"), 80), "timeout");
  assert.equal(await within.place.askBriefly("tcp", a, 80), "timeout");
  // Others do get out, behind the host's address.
  assert.equal(await inA.place.ask("tcp", "10.99.0.2", 80), "10.99.0.1");
  // Without inter-container communication not even neighbours.
  assert.notEqual(
    await alsoSilent.place.askBriefly("tcp", silent.address("silent"), 80),
    alsoSilent.address("silent"),
  );
};

const publishedAcross: Scenario = async (world) => {
  await world.createNetwork("a");
  await world.createNetwork("inside", { internal: true });
  const web = await world.run("web", { network: "a", publish: ["8080:80/tcp"] });
  const other = await world.run("other");
  const within = await world.run("within", { network: "inside" });
  await web.place.serve("tcp", 80);
  assert.equal(await other.place.ask("tcp", "10.99.0.1", 8080), "172.17.0.1");
  const gateway = within.address("inside").replace(/\d+$/, "1");
  assert.equal(await within.place.askBriefly("tcp", gateway, 8080), "timeout");
};

const connecting: Scenario = async (world) => {
  const one = await world.run("one", { publish: ["8080:80/tcp"] });
  const two = await world.run("two");
  await one.place.serve("tcp", 80, "::");
  await world.createNetwork("net", { enableIpv6: true });
  await world.connect("net", "one", { aliases: ["alias"], gwPriority: 1 });
  await world.connect("net", "two");
  assert.match(one.place.run("ip", "route"), /^default via 172\.17\.0\.1 dev eth1/);
  // With gateways of both families it comes first, whatever its name.
  assert.match(two.place.run("ip", "route"), /^default via 172\.17\.0\.1 dev eth1/);
  await untilPasses(() => {
    assert.equal(world.names.find(two.id, "net", "alias"), one.address("net"));
  });
  assert.match(two.file("resolv.conf"), /^nameserver 127\.0\.0\.11$/m);
  assert.doesNotMatch(two.file("hosts"), /one/);
  assert.equal(await two.place.ask("tcp", one.address("net"), 80), two.address("net"));
  const address6 = world.networking.settings(one.id).networks["net"]?.globalIpv6Address ?? "";
  assert.match(await two.place.ask("tcp", address6, 80), /^fd00:/);
  // The published port follows the default route.
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "10.99.0.2");
  await assert.rejects(world.connect("net", "one"), {
    kind: "permission_denied",
    message: "endpoint with name one already exists in network net",
  });
  await assert.rejects(world.networking.remove("net"), /network net has active endpoints/);
  await world.networking.disconnect("net", "one", false);
  assert.doesNotMatch(one.place.run("ip", "-br", "link"), /eth1/);
  assert.match(one.place.run("ip", "route"), /^default via 172\.16\.0\.1 dev eth0/);
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "10.99.0.2");
  await assert.rejects(world.networking.disconnect("net", "one", false), {
    message: `container ${one.id} is not connected to network net`,
  });
  await untilPasses(() => {
    assert.equal(world.names.find(two.id, "net", "alias"), undefined);
  });
};

const justEnded: Scenario = async (world) => {
  await world.createNetwork("net");
  const joining = await world.run("joining");
  const leaving = await world.run("leaving", { network: "net" });
  for (const each of [joining, leaving]) await each.place.close();
  // Their ends are not told yet.
  await world.connect("net", "joining");
  await world.networking.disconnect("net", "leaving", false);
  const networksOf = (id: string): string[] => Object.keys(world.networking.settings(id).networks);
  assert.deepEqual(networksOf(joining.id), ["bridge", "net"]);
  assert.deepEqual(networksOf(leaving.id), []);
  for (const each of [joining, leaving]) await each.stop();
  assert.deepEqual(networksOf(joining.id), ["bridge", "net"]);
  await world.networking.disconnect("net", "joining", false);
  await world.networking.remove("net");
};

const staticAddresses: Scenario = async (world) => {
  const config = [
    { subnet: "172.30.0.0/24", ipRange: "", gateway: "172.30.0.254", auxiliaryAddresses: {} },
  ];
  await world.createNetwork("net", { ipam: { driver: "", options: {}, config } });
  const fixed = { ipamConfig: { ipv4Address: "172.30.0.9", ipv6Address: "", linkLocalIps: [] } };
  const one = await world.run("one", { network: "net", endpoint: fixed });
  assert.equal(one.address("net"), "172.30.0.9");
  assert.match(one.place.run("ip", "route"), /^default via 172\.30\.0\.254/);
  await assert.rejects(world.run("two", { network: "net", endpoint: fixed }), {
    message: "failed to set up container networking: Address already in use",
  });
  await assert.rejects(
    world.createNetwork("again", { ipam: { driver: "", options: {}, config } }),
    {
      kind: "permission_denied",
      message: /Pool overlaps with other one on this address space/,
    },
  );
  await one.stop();
  assert.equal(
    (await world.run("three", { network: "net", endpoint: fixed })).address("net"),
    "172.30.0.9",
  );
};

const links: Scenario = async (world) => {
  const db = await world.run("db");
  const web = await world.run("web", { links: ["db:store"], extraHosts: ["me:host-gateway"] });
  assert.match(
    web.file("hosts"),
    new RegExp(`^${db.address("bridge")}\\tstore ${db.id.slice(0, 12)} db$`, "m"),
  );
  assert.match(web.file("hosts"), /^172\.16\.0\.1\tme$/m);
  assert.doesNotMatch(db.file("hosts"), /web/);
  await db.stop();
  const late = world.declare("late", { links: ["db:store"] });
  await assert.rejects(
    world.start(late),
    /Cannot link to a non running container: \/db AS \/late\/store/,
  );
};

const manyPorts: Scenario = async (world) => {
  const publish = Array.from({ length: 1000 }, (_, index) => `${10_000 + index}:${1 + index}/tcp`);
  const startedMs = performance.now();
  await world.run("ten", { publish: ["9000:1/tcp"] });
  const oneMs = performance.now() - startedMs;
  const many = await world.run("many", { publish });
  const manyMs = performance.now() - startedMs - oneMs;
  process.stdout.write(`one port ${oneMs.toFixed(0)} ms, 1000 ports ${manyMs.toFixed(0)} ms\n`);
  await many.place.serve("tcp", 1000);
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 10_999), "10.99.0.2");
  assert.equal(await world.ask("tcp", "127.0.0.1", 10_999), "172.16.0.1");
};

const udpFlows: Scenario = async (world) => {
  // One socket outside that sends all the time, before, between and after two containers.
  const flow = (patienceMs?: number): Promise<string> =>
    world.outside.askFlow("10.99.0.1", 5353, patienceMs);
  assert.equal(await flow(brieflyMs), "timeout");
  const first = await world.run("first", { publish: ["5353:53/udp"] });
  await first.place.serve("udp", 53);
  assert.equal(await flow(), "10.99.0.2");
  await first.stop();
  const second = await world.run("second", { publish: ["5353:53/udp"] });
  await second.place.serve("udp", 53);
  assert.notEqual(second.address("bridge"), first.address("bridge"));
  assert.equal(await flow(), "10.99.0.2");
};

const scenarios: Readonly<Record<string, Scenario>> = {
  publishedPorts,
  udpFlows,
  portConflicts,
  loopbackOnly,
  isolation,
  publishedAcross,
  connecting,
  justEnded,
  staticAddresses,
  links,
  flushed,
  restarted,
  relayKilled,
  foundBridge,
  cutShort,
  tornDown,
  besideDockerd,
  manyPorts,
};

const scenario = scenarios[process.argv[2] ?? ""];
assert.ok(scenario, `no scenario ${process.argv[2] ?? ""}`);
const world = await World.open();
try {
  await scenario(world);
} finally {
  await world.close();
}
