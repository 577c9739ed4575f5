/** Who reaches whom over networks, by real packets. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { mustRun } from "@gantry/testkit";
import { findHolders } from "@gantry/testkit/holders";
import { useNetworkBed } from "../src/network-bed.ts";
import { NetworkPlace } from "../src/network-place.ts";

const bed = useNetworkBed();
const { docker, refusal, sleeper, web, placeOf, addressOf, lookup } = bed;

describe("isolation", () => {
  it("keeps networks apart in both directions, and lets them out", async () => {
    await docker("network", "create", "one");
    await docker("network", "create", "two");
    await web("aft", "--network", "one");
    await web("bow", "--network", "two");
    const [a, b] = [await placeOf("aft"), await placeOf("bow")];
    assert.equal(await a.fetchInVain(await addressOf("bow", "two"), 80), "timeout");
    assert.equal(await b.fetchInVain(await addressOf("aft", "one"), 80), "timeout");
    // From outside, by a route over the host, neither.
    assert.equal(await bed.outside.fetchInVain(await addressOf("aft", "one"), 80), "timeout");
    await using _server = await bed.outside.serveUdp(9000, "outside");
    assert.equal(await a.askUdp(bed.outside.address, 9000), "outside");
    assert.deepEqual(await lookup("aft", "bow"), []);
  });

  it("lets nothing out of an internal network, nor in", async () => {
    await docker("network", "create", "--internal", "cellar");
    await web("in", "--network", "cellar", "-p", "8099:80");
    await sleeper("near", "--network", "cellar");
    const inside = await placeOf("in");
    assert.deepEqual(await lookup("near", "in"), [await addressOf("in", "cellar")]);
    assert.equal(await (await placeOf("near")).fetch(await addressOf("in", "cellar"), 80), "in");
    await using _server = await bed.outside.serveUdp(9000, "outside");
    assert.equal(await inside.askUdp(bed.outside.address, 9000), "refused");
    assert.equal(await bed.outside.fetchInVain(await addressOf("in", "cellar"), 80), "timeout");
    assert.doesNotMatch(await docker("exec", "in", "ip", "route"), /default/);
    assert.match(
      (await bed.engine.tryDocker(["exec", "in", "nslookup", "example.com"])).stdout,
      /SERVFAIL/,
    );
    assert.equal(await docker("port", "in"), "");
  });

  it("hides containers behind the host's address, unless that is not wanted", async () => {
    await docker("network", "create", "hidden");
    await docker(
      "network",
      "create",
      "-o",
      "com.docker.network.bridge.enable_ip_masquerade=false",
      "open",
    );
    await sleeper("aft", "--network", "hidden");
    await sleeper("bow", "--network", "open");
    await using _server = await bed.outside.tellSources(9000);
    assert.equal(await (await placeOf("aft")).askUdp(bed.outside.address, 9000), bed.outside.host);
    assert.equal(
      await (await placeOf("bow")).askUdp(bed.outside.address, 9000),
      await addressOf("bow", "open"),
    );
  });

  it("keeps ports of other networks from those who are not hidden, and not the other way", async () => {
    const bare = ["-o", "com.docker.network.bridge.enable_ip_masquerade=false"];
    const routed = ["-o", "com.docker.network.bridge.gateway_mode_ipv4=routed"];
    await docker("network", "create", ...bare, "open");
    await docker("network", "create", "hidden");
    await docker("network", "create", ...routed, "routed");
    await web("aft", "--network", "hidden", "-p", "18377:80");
    await web("bow", "--network", "open", "-p", "18378:80");
    await web("keel", "--network", "routed", "-p", "18379:80");
    const [hidden, open, routes] = [
      await placeOf("aft"),
      await placeOf("bow"),
      await placeOf("keel"),
    ];
    assert.equal(await hidden.fetch(bed.outside.host, 18_378), "bow");
    assert.equal(await open.fetchInVain(bed.outside.host, 18_377), "timeout");
    assert.equal(await open.fetch(bed.outside.host, 18_378), "bow");
    assert.equal(await bed.outside.fetch(bed.outside.host, 18_378), "bow");
    const address = await addressOf("keel", "routed");
    assert.equal(await hidden.fetch(address, 80), "keel");
    assert.equal(await open.fetchInVain(address, 80), "timeout");
    assert.equal(await routes.fetch(bed.outside.host, 18_377), "aft");
  });

  it("hides them behind another of the host's addresses, where that is wanted", async (t) => {
    const source = bed.outside.host.replace(/1$/, "9");
    execFileSync("ip", ["addr", "add", `${source}/32`, "dev", "lo"]);
    t.after(() => execFileSync("ip", ["addr", "del", `${source}/32`, "dev", "lo"]));
    await docker("network", "create", "-o", `com.docker.network.host_ipv4=${source}`, "masked");
    await sleeper("aft", "--network", "masked");
    await using _server = await bed.outside.tellSources(9000);
    assert.equal(await (await placeOf("aft")).askUdp(bed.outside.address, 9000), source);
  });

  it("gives the bridge no address where another is the gateway, or nobody", async () => {
    const named = (name: string): string[] => ["-o", `com.docker.network.bridge.name=${name}`];
    const inhibit = ["-o", "com.docker.network.bridge.inhibit_ipv4=true"];
    const isolated = ["--internal", "-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated"];
    // Another engine of this host sees subnets by the addresses of bridges: these it could take for its own, and hide.
    const lent = ["--subnet", "10.236.1.0/24", "lent"];
    const cut = ["--subnet", "10.236.2.0/24", "cut"];
    await docker("network", "create", ...named("e2elent"), ...inhibit, ...lent);
    await docker("network", "create", ...named("e2ecut"), ...isolated, ...cut);
    for (const link of ["e2elent", "e2ecut"]) {
      const shown = execFileSync("ip", ["-4", "-o", "addr", "show", "dev", link]);
      assert.equal(shown.toString(), "");
    }
    await sleeper("aft", "--network", "lent");
    const gateway = await addressOf("aft", "lent", "Gateway");
    assert.match(
      await docker("exec", "aft", "ip", "route"),
      new RegExp(`^default via ${gateway} `),
    );
    await web("bow", "--network", "cut");
    await sleeper("keel", "--network", "cut");
    assert.equal(await docker("exec", "keel", "wget", "-q", "-O-", "http://bow/"), "bow");
  });

  it("has two containers in a subnet of two addresses where nobody is the gateway", async () => {
    for (const option of ["inhibit_ipv4=true", "gateway_mode_ipv4=isolated"]) {
      const options = ["--internal", "-o", `com.docker.network.bridge.${option}`];
      await docker("network", "create", "--subnet", "192.168.231.0/31", ...options, "pair");
      await sleeper("aft", "--network", "pair");
      await sleeper("bow", "--network", "pair");
      const sent = await docker("exec", "bow", "ping", "-c1", "-W3", "aft");
      assert.match(sent, /1 packets transmitted, 1 packets received/);
      await docker("rm", "-f", "aft", "bow");
      await docker("network", "rm", "pair");
    }
  });

  it("leaves no IPv6 where none was asked for", async () => {
    await docker("network", "create", "-o", "com.docker.network.bridge.name=e2efour", "four");
    await sleeper("aft", "--network", "four");
    const inside = await placeOf("aft");
    const shown = ["ip", "-6", "-o", "addr", "show", "dev"];
    assert.equal((await inside.run(...shown, "eth0")).stdout, "");
    assert.equal(execFileSync("ip", [...shown.slice(1), "e2efour"], { encoding: "utf8" }), "");
    // To all neighbours, for which no address is needed but one's own.
    const sent = await inside.run("busybox", "ping6", "-c1", "-W1", "-I", "eth0", "ff02::1");
    assert.match(sent.stderr, /[Aa]ddress|unreachable|assign/);
  });

  it("can be had between containers of one network", async () => {
    await docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "cells");
    await web("aft", "--network", "cells", "-p", "127.0.0.1::80");
    await sleeper("bow", "--network", "cells");
    assert.equal(
      await (await placeOf("bow")).fetchInVain(await addressOf("aft", "cells"), 80),
      "timeout",
    );
  });

  it("leaves published ports to them, by the host's address", async () => {
    await docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "cells");
    await web("aft", "--network", "cells", "-p", "18372:80");
    await sleeper("bow", "--network", "cells");
    for (const caller of ["bow", "aft"]) {
      assert.equal(await (await placeOf(caller)).fetch(bed.outside.host, 18_372), "aft", caller);
    }
  });
});

describe("published ports", () => {
  const host = new NetworkPlace(process.pid);
  const portOf = async (container: string, port: string): Promise<number> =>
    Number(/:(\d+)$/m.exec(await docker("port", container, port))?.[1]);

  it("answer from outside, from the host, from neighbours and from themselves", async () => {
    await docker("network", "create", "net");
    await web("srv", "--network", "net", "-p", "80");
    await sleeper("near", "--network", "net");
    const port = await portOf("srv", "80/tcp");
    assert.equal(await bed.outside.fetch(bed.outside.host, port), "srv");
    assert.equal(await host.fetch("127.0.0.1", port), "srv");
    assert.equal(await host.fetch("::1", port), "srv");
    assert.equal(await (await placeOf("near")).fetch(bed.outside.host, port), "srv");
    assert.equal(await (await placeOf("srv")).fetch(bed.outside.host, port), "srv");
    await docker("rm", "-f", "srv");
    assert.equal(await host.fetch("127.0.0.1", port), "refused");
  });

  it("are reached on the loopback only, when they are bound there", async () => {
    await web("srv", "-p", "127.0.0.1::80");
    const port = await portOf("srv", "80/tcp");
    assert.equal(await host.fetch("127.0.0.1", port), "srv");
    assert.notEqual(await bed.outside.fetchInVain(bed.outside.host, port), "srv");
    await bed.outside.run(
      "ip",
      "route",
      "add",
      "127.0.0.1/32",
      "via",
      bed.outside.host,
      "table",
      "local",
    );
    assert.notEqual(await bed.outside.fetchInVain("127.0.0.1", port), "srv");
  });

  it("are ranges, all that are exposed, and of UDP", async () => {
    await docker(
      "run",
      "-d",
      "--name",
      "range",
      "-p",
      "127.0.0.1:18470-18472:70-72",
      "busybox",
      "sleep",
      "100000",
    );
    const shown = (await docker("port", "range")).split("\n").toSorted();
    assert.deepEqual(shown, [
      "70/tcp -> 127.0.0.1:18470",
      "71/tcp -> 127.0.0.1:18471",
      "72/tcp -> 127.0.0.1:18472",
    ]);
    await docker(
      "run",
      "-d",
      "--name",
      "first-free",
      "-p",
      "127.0.0.1:18470-18475:70",
      "busybox",
      "sleep",
      "100000",
    );
    assert.equal(await docker("port", "first-free", "70/tcp"), "127.0.0.1:18473");
    await docker(
      "run",
      "-d",
      "--name",
      "all",
      "-P",
      "--expose",
      "90",
      "--expose",
      "91/udp",
      "busybox",
      "sleep",
      "100000",
    );
    const udp = await portOf("all", "91/udp");
    await using _server = await (await placeOf("all")).serveUdp(91, "pong");
    assert.equal(await bed.outside.askUdp(bed.outside.host, udp), "pong");
    assert.equal(await host.askUdp("127.0.0.1", udp), "pong");
    assert.ok((await portOf("all", "90/tcp")) > 0);
  });

  it("are refused when a container or a program of the host has them, and leave nothing behind", async () => {
    await sleeper("holder", "-p", "127.0.0.1::80");
    const taken = await portOf("holder", "80/tcp");
    const before = bed.kernelState();
    const args = (port: number): string[] => [
      "run",
      "--name",
      "late",
      "-p",
      `127.0.0.1:${String(port)}:80`,
      "busybox",
      "true",
    ];
    assert.match(
      await refusal(...args(taken)),
      new RegExp(
        `driver failed programming external connectivity on endpoint late \\([0-9a-f]{64}\\): Bind for 127\\.0\\.0\\.1:${String(taken)} failed: port is already allocated`,
      ),
    );
    const program = createServer();
    await new Promise<void>((resolve) => program.listen(0, "127.0.0.1", resolve));
    const { port } = program.address() as { port: number };
    await docker("rm", "late");
    assert.match(
      await refusal(...args(port)),
      new RegExp(
        `failed to bind host port (for )?127\\.0\\.0\\.1:${String(port)}[^]*address already in use`,
      ),
    );
    assert.deepEqual(bed.kernelState(), before);
    await new Promise((resolve) => program.close(resolve));
    await docker("start", "late");
  });

  it("of a thousand cost about what ten cost, and no process", async () => {
    const started = async (
      name: string,
      ports: string,
    ): Promise<{ ms: number; processes: number }> => {
      await docker(
        "create",
        "--name",
        name,
        "-p",
        `127.0.0.1:${ports}:${ports}`,
        "busybox",
        "sleep",
        "100000",
      );
      const begun = performance.now();
      await docker("start", name);
      const ms = performance.now() - begun;
      const relays = findHolders(bed.engine.runRoot).filter(({ program }) =>
        program.includes("relay"),
      );
      return { ms, processes: relays.length };
    };
    const ten = await started("ten", "22000-22009");
    const thousand = await started("thousand", "22010-23009");
    assert.deepEqual([ten.processes, thousand.processes], [1, 1]);
    assert.ok(
      thousand.ms < ten.ms * 3 + 1000,
      `${String(ten.ms)} ms, then ${String(thousand.ms)} ms`,
    );
    assert.equal((await docker("port", "thousand")).split("\n").length, 1000);
  });

  it("of sctp are refused where the kernel has none", async () => {
    const { code, stderr } = await bed.engine.tryDocker([
      "run",
      "--rm",
      "-p",
      "127.0.0.1::80/sctp",
      "busybox",
      "true",
    ]);
    const hasSctp = (await mustRun(["sh", "-c", "cat /proc/net/protocols"])).stdout.includes(
      "SCTP",
    );
    if (hasSctp) assert.equal(code, 0, stderr);
    else
      assert.match(
        stderr,
        /failed to bind host port 127\.0\.0\.1:\d+\/sctp: protocol not supported/,
      );
  });
});
