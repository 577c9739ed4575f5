/** What is published where: by every form of host address, kind of network and gateway mode, as a dockerd does it. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask } from "../src/http.ts";
import { useNetworkBed } from "../src/network-bed.ts";
import { NetworkPlace } from "../src/network-place.ts";

const bed = useNetworkBed();
const { docker, refusal, sleeper, web, placeOf, addressOf } = bed;
const host = new NetworkPlace(process.pid);

const networks = {
  four: [],
  both: ["--ipv6", "--subnet", "fd00:e2e:1::/64"],
  six: ["--ipv6", "--ipv4=false", "--subnet", "fd00:e2e:2::/64"],
} as const;

const all4 = "0.0.0.0";
const all6 = "[::]";
/** By host address: where `docker port` shows a port of a container in each network. */
const forms: Readonly<Record<string, Readonly<Record<keyof typeof networks, readonly string[]>>>> =
  {
    "": { four: [all4, all6], both: [all4, all6], six: [all6] },
    "0.0.0.0": { four: [all4], both: [all4], six: [] },
    "[::]": { four: [all6], both: [all6], six: [all6] },
    "127.0.0.1": { four: ["127.0.0.1"], both: ["127.0.0.1"], six: [] },
    "[::1]": { four: ["[::1]"], both: ["[::1]"], six: ["[::1]"] },
  };

/** Whom callers of these addresses reach. */
const callers = (shown: readonly string[]): Record<string, boolean> => ({
  "127.0.0.1": shown.includes(all4) || shown.includes("127.0.0.1"),
  "::1": shown.includes(all6) || shown.includes("[::1]"),
});

describe("a published port", () => {
  for (const [network, options] of Object.entries(networks)) {
    it(`of a network with ${network === "four" ? "IPv4" : network === "six" ? "IPv6" : "both families"} is where its host address says`, async () => {
      await docker("network", "create", ...options, network);
      for (const [address, rows] of Object.entries(forms)) {
        const published = address === "" ? "18371:80" : `${address}:18371:80`;
        await web("srv", "--network", network, "-p", published);
        const shown = rows[network as keyof typeof networks];
        assert.deepEqual(
          (await docker("port", "srv")).split("\n").filter((line) => line !== ""),
          shown.map((each) => `80/tcp -> ${each}:18371`),
          `-p ${published}`,
        );
        for (const [called, isHeard] of Object.entries(callers(shown))) {
          const heard = await host.fetch(called, 18_371);
          assert.equal(heard, isHeard ? "srv" : "refused", `-p ${published}, called at ${called}`);
        }
        await docker("rm", "-f", "srv");
      }
    });
  }

  it("without a number, or of a range, is the next one of its protocol and address", async () => {
    const next = async (...publish: readonly string[]): Promise<number[]> => {
      await sleeper("srv", ...publish.flatMap((each) => ["-p", each]));
      const lines = (await docker("port", "srv")).split("\n");
      await docker("rm", "-f", "srv");
      return lines.map((line) => Number(line.replace(/^.*:/, "")));
    };
    const [tcp = 0, tcp6] = await next("80");
    assert.equal(tcp6, tcp);
    const [first = 0] = await next("127.0.0.1::80");
    const [udp = 0] = await next("80/udp");
    assert.deepEqual(await next("80"), [tcp + 1, tcp + 1]);
    assert.deepEqual(await next("127.0.0.1::80"), [first + 1]);
    assert.deepEqual(await next("80/udp"), [udp + 1, udp + 1]);
    const ofRange = [18_380, 18_381, 18_382, 18_380];
    for (const port of ofRange) assert.deepEqual(await next("127.0.0.1:18380-18382:80"), [port]);
  });

  it("without a number leaves alone what the same container asks for by number", async () => {
    const hostPort = async (name: string, port: string): Promise<number> =>
      Number((await docker("port", name, port)).split("\n")[0]?.replace(/^.*:/, ""));
    await sleeper("srv", "-p", "127.0.0.1::80");
    const next = (await hostPort("srv", "80")) + 1;
    await sleeper("more", "-p", "127.0.0.1::80", "-p", `127.0.0.1:${String(next)}:8080`);
    assert.equal(await hostPort("more", "8080"), next);
    assert.notEqual(await hostPort("more", "80"), next);
    await docker("rm", "-f", "srv", "more");
  });

  it("that somebody has is told of by the address that is held", async () => {
    const refused = async (publish: string, why: RegExp): Promise<void> => {
      const said = await refusal("run", "--name", "late", "-p", publish, "busybox", "true");
      assert.match(said, why);
      await docker("rm", "late");
    };
    await sleeper("srv", "-p", "18373:80");
    await refused("127.0.0.1:18373:80", /: Bind for 0\.0\.0\.0:18373 failed: port is already/);
    await refused("18373-18373:80", /: Bind for 0\.0\.0\.0:18373 failed: port is already/);
    await refused("[::1]:18373:80", /: Bind for :::18373 failed: port is already/);
    await sleeper("more", "-p", "127.0.0.1:18374:80");
    await refused("18374:80", /: Bind for 127\.0\.0\.1:18374 failed: port is already/);
    await refused("18373-18374:80", /\): all ports are allocated/);
    const program = createServer();
    await new Promise<void>((resolve) => {
      program.listen({ host: "::", port: 18_375, ipv6Only: true }, resolve);
    });
    await refused("18375:80", /failed to bind host port \[::\]:18375\/tcp: address already in use/);
    await new Promise((resolve) => program.close(resolve));
    await docker("rm", "-f", "srv");
    await sleeper("srv", "-p", "18375:80");
  });

  it("is what ps --filter publish looks for, and a container's own port what expose does", async () => {
    await sleeper("pub", "-p", "127.0.0.1:18376:80");
    await sleeper("exp", "--expose", "8080");
    await docker("create", "--name", "off", "-p", "18376:80", "busybox");
    const found = async (...filters: string[]): Promise<string> => {
      const flags = filters.flatMap((filter) => ["--filter", filter]);
      const names = await docker("ps", "-a", "--format", "{{.Names}}", ...flags);
      return names.split("\n").sort().join(" ");
    };
    assert.equal(await found("publish=18376"), "pub");
    assert.equal(await found("publish=18000-19000/tcp"), "pub");
    assert.equal(await found("publish=18376/udp"), "");
    assert.equal(await found("publish=80"), "");
    assert.equal(await found("expose=80"), "pub");
    assert.equal(await found("expose=80-8080"), "exp pub");
    await docker("rm", "-f", "pub", "exp", "off");
  });

  it("has to be exposed, too", async () => {
    const create = async (body: Readonly<Record<string, unknown>>): Promise<string> => {
      const answer = await ask(bed.engine, {
        method: "POST",
        path: "/v1.51/containers/create",
        body: { Image: "busybox", Cmd: ["sleep", "100000"], ...body },
      });
      const { Id } = JSON.parse(answer.body) as { Id: string };
      await docker("start", Id);
      return await docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", Id);
    };
    const PortBindings = { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "18372" }] };
    assert.equal(await create({ HostConfig: { PortBindings } }), "{}");
    const other = { "81/tcp": {} };
    assert.equal(
      await create({ HostConfig: { PortBindings }, ExposedPorts: other }),
      '{"81/tcp":null}',
    );
    const own = { "80/tcp": {} };
    assert.equal(
      await create({ HostConfig: { PortBindings }, ExposedPorts: own }),
      JSON.stringify(PortBindings),
    );
  });

  it("is not shown where none can be", async () => {
    await docker("network", "create", "--internal", "cellar");
    for (const network of ["host", "none", "cellar"]) {
      await sleeper("srv", "--network", network, "--expose", "80");
      assert.equal(await docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", "srv"), "{}");
      await docker("rm", "-f", "srv");
    }
  });

  it("is called by IPv6 as soon as its container runs", async () => {
    await docker("network", "create", ...networks.both, "both");
    await sleeper("srv", "--network", "both", "-p", "[::]:18373:80");
    // The bridge does not wait to find out whether somebody else has its addresses.
    const { stdout } = await host.run("ip", "-6", "-o", "addr", "show", "to", "fd00:e2e:1::/64");
    const [, bridge = ""] = /^\d+: (\S+)/.exec(stdout) ?? [];
    const addresses = (await host.run("ip", "-6", "-o", "addr", "show", "dev", bridge)).stdout;
    assert.match(addresses, /fd00:e2e:1::/);
    assert.doesNotMatch(addresses, /tentative/);
    // Nobody listens in there.
    assert.equal(
      await host.fetch(await addressOf("srv", "both", "GlobalIPv6Address"), 80),
      "refused",
    );
  });
});

describe("trusted host interfaces", () => {
  const trust = (names: string): string[] => [
    ...["-o", `com.docker.network.bridge.trusted_host_interfaces=${names}`],
  ];
  const bridge = (name: string): string[] => ["-o", `com.docker.network.bridge.name=${name}`];

  it("call published ports of containers by a route, and no others", async () => {
    await docker("network", "create", ...bridge("e2efriend"), "friend");
    await docker("network", "create", ...trust("e2e+:e2efriend"), "trusting");
    await docker("network", "create", ...trust("eth99"), "wary");
    await web("srv", "--network", "trusting", "-p", "127.0.0.1:18375:80");
    await web("shy", "--network", "trusting");
    await web("dim", "--network", "wary", "-p", "127.0.0.1:18376:80");
    await sleeper("near", "--network", "friend");
    const address = await addressOf("srv", "trusting");
    assert.equal(await bed.outside.fetch(address, 80), "srv");
    assert.equal(await bed.outside.fetchInVain(await addressOf("shy", "trusting"), 80), "timeout");
    assert.equal(await bed.outside.fetchInVain(await addressOf("dim", "wary"), 80), "timeout");
    assert.equal((await bed.outside.run("busybox", "ping", "-c1", "-W1", address)).code, 1);
    // Other networks stay apart, whoever is trusted.
    assert.equal(await (await placeOf("near")).fetchInVain(address, 80), "timeout");
    await bed.engine.kill9("container-service");
    await bed.engine.ready();
    assert.equal(await bed.outside.fetch(address, 80), "srv");
    await docker("network", "disconnect", "trusting", "srv");
    const { nftTable } = bed.engine.kernelNames;
    await untilPasses(async () => {
      const { stdout } = await host.run("nft", "list", "set", "inet", nftTable, "trusted4");
      assert.match(stdout, /set trusted4/);
      assert.ok(!stdout.includes(`${address} `), stdout);
    });
  });

  it("that cannot be are told of by the first endpoint", async () => {
    await docker("network", "create", ...trust("sixteen--letters"), "long");
    await docker("create", "--name", "srv", "--network", "long", "busybox", "true");
    assert.match(
      await refusal("start", "srv"),
      /failed to set up container networking: failed to create endpoint srv on network long: Unable to enable DIRECT ACCESS FILTERING - ACCEPT rule: .*interface name `sixteen--letters' must be shorter than IFNAMSIZ \(15\)/,
    );
  });
});

describe("the gateway mode", () => {
  const mode = (family: 4 | 6, value: string): string[] => [
    ...["-o", `com.docker.network.bridge.gateway_mode_ipv${String(family)}=${value}`],
  ];
  const ports = ["-p", "18374:80", "--expose", "81/udp"];

  it("routed lets callers in by a route to what is published, and no other way", async () => {
    await docker("network", "create", ...mode(4, "routed"), "routed");
    await docker("network", "create", "other");
    await web("srv", "--network", "routed", ...ports);
    await web("shy", "--network", "routed");
    await sleeper("near", "--network", "other");
    const address = await addressOf("srv", "routed");
    const shown = await docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", "srv");
    assert.deepEqual(JSON.parse(shown), {
      "80/tcp": [
        { HostIp: "0.0.0.0", HostPort: "" },
        { HostIp: "::", HostPort: "18374" },
      ],
      "81/udp": null,
    });
    assert.equal(await bed.outside.fetch(address, 80), "srv");
    assert.equal(await bed.outside.askUdpInVain(address, 81), "timeout");
    assert.equal(await bed.outside.fetchInVain(await addressOf("shy", "routed"), 80), "timeout");
    // No port of the host's own.
    assert.equal(await bed.outside.fetch(bed.outside.host, 18_374), "refused");
    assert.equal(await host.fetch("127.0.0.1", 18_374), "refused");
    // IPv6 has no route to a container without: the host's port leads there.
    assert.equal(await host.fetch("::1", 18_374), "srv");
    assert.equal(await (await placeOf("near")).fetch(address, 80), "srv");
    assert.equal((await bed.outside.run("busybox", "ping", "-c1", "-W20", address)).code, 0);
    await using _server = await bed.outside.tellSources(9000);
    assert.equal(await (await placeOf("srv")).askUdp(bed.outside.address, 9000), address);
    await docker("stop", "-t", "0", "srv");
    await docker("start", "srv");
    await docker("rm", "-f", "srv");
    assert.notEqual(await bed.outside.fetchInVain(address, 80), "srv");
  });

  it("routed holds for one family when it is of one", async () => {
    await docker("network", "create", ...networks.both, ...mode(6, "routed"), "halves");
    await web("srv", "--network", "halves", ...ports);
    assert.equal(await docker("port", "srv"), "80/tcp -> 0.0.0.0:18374\n80/tcp -> [::]:");
    assert.equal(await host.fetch("127.0.0.1", 18_374), "srv");
    assert.equal(await host.fetch("::1", 18_374), "refused");
    assert.match(await docker("ps", "--format", "{{.Ports}}"), /0\.0\.0\.0:18374->80\/tcp/);
  });

  it("nat-unprotected publishes, and lets callers in by a route to everything, but not of other networks", async () => {
    await docker("network", "create", ...mode(4, "nat-unprotected"), "open");
    await docker("network", "create", "other");
    await web("srv", "--network", "open", "-p", "18374:80");
    await web("shy", "--network", "open");
    await sleeper("near", "--network", "other");
    const address = await addressOf("shy", "open");
    assert.equal(await bed.outside.fetch(bed.outside.host, 18_374), "srv");
    assert.equal(await bed.outside.fetch(address, 80), "shy");
    assert.equal(await (await placeOf("near")).fetchInVain(address, 80), "timeout");
    await using _server = await bed.outside.tellSources(9000);
    const seen = await (await placeOf("shy")).askUdp(bed.outside.address, 9000);
    assert.equal(seen, bed.outside.host);
  });

  it("routed is left and taken with the networks of a running container, and survives a kill of the service", async () => {
    await docker("network", "create", ...mode(4, "routed"), "routed");
    await docker("network", "create", "usual");
    await web("srv", "--network", "usual", ...ports);
    assert.equal(await bed.outside.fetch(bed.outside.host, 18_374), "srv");
    await docker("network", "connect", "--gw-priority", "1", "routed", "srv");
    const address = await addressOf("srv", "routed");
    assert.equal(await docker("port", "srv"), "80/tcp -> 0.0.0.0:\n80/tcp -> [::]:18374");
    assert.equal(await bed.outside.fetch(address, 80), "srv");
    assert.equal(await bed.outside.fetch(bed.outside.host, 18_374), "refused");
    await bed.engine.kill9("container-service");
    await bed.engine.ready();
    assert.equal(await docker("port", "srv"), "80/tcp -> 0.0.0.0:\n80/tcp -> [::]:18374");
    assert.equal(await bed.outside.fetch(address, 80), "srv");
    assert.equal(await host.fetch("::1", 18_374), "srv");
    await docker("network", "disconnect", "routed", "srv");
    assert.equal(await docker("port", "srv"), "80/tcp -> 0.0.0.0:18374\n80/tcp -> [::]:18374");
    assert.equal(await bed.outside.fetch(bed.outside.host, 18_374), "srv");
    const { nftTable } = bed.engine.kernelNames;
    const { stdout } = await host.run("nft", "list", "set", "inet", nftTable, "direct4");
    assert.doesNotMatch(stdout, /elements/);
  });

  it("is put back when others flush the rules, with a thousand routed ports", async () => {
    await docker("network", "create", ...mode(4, "routed"), "routed");
    await web("srv", "--network", "routed", "-p", "20000-20999:20000-20999", "-p", "80:80");
    const address = await addressOf("srv", "routed");
    const { nftTable } = bed.engine.kernelNames;
    await host.run("nft", "flush", "table", "inet", nftTable);
    await host.run("nft", "flush", "set", "inet", nftTable, "direct4");
    await untilPasses(async () => {
      assert.equal(await bed.outside.fetch(address, 80), "srv");
      const { stdout } = await host.run("nft", "list", "set", "inet", nftTable, "direct4");
      assert.equal(stdout.match(/tcp \. /g)?.length, 1001);
    });
    assert.equal(await bed.outside.fetchInVain(address, 81), "timeout");
  });
});
