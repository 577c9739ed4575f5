/** Networks with the stock CLI: what they are made of, who reaches whom by real packets, and names. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { mustRun, run } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { NetworkPlace, Outside } from "../src/network-place.ts";

let engine: TestEngine;
let outside: Outside;

/** What the engine has put into the kernel. */
interface KernelState {
  readonly links: readonly string[];
  readonly rules: string;
}

function kernelState(): KernelState {
  const { linkPrefix, nftTable } = engine.kernelNames;
  const links = JSON.parse(execFileSync("ip", ["-j", "link"], { encoding: "utf8" })) as {
    ifname: string;
  }[];
  return {
    links: links
      .map(({ ifname }) => ifname)
      .filter((name) => name.startsWith(linkPrefix))
      .toSorted(),
    rules: execFileSync("nft", ["-s", "list", "table", "inet", nftTable], { encoding: "utf8" }),
  };
}

let atStart: KernelState;
before(async () => {
  engine = await TestEngine.start();
  outside = await Outside.open();
  atStart = kernelState();
});
after(async () => {
  await outside[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

/** After each test the machine is as it was: links, rules, networks. */
afterEach(async () => {
  const containers = await docker("ps", "-aq");
  if (containers !== "") await docker("rm", "-f", "-v", ...containers.split("\n"));
  await docker("network", "prune", "-f");
  await untilPasses(() => {
    assert.deepEqual(kernelState(), atStart);
  });
});

async function docker(...args: readonly string[]): Promise<string> {
  return await engine.docker(args);
}

/** The error of a command that has to fail. */
async function refusal(...args: readonly string[]): Promise<string> {
  const { code, stderr } = await engine.tryDocker(args);
  assert.notEqual(code, 0, `docker ${args.join(" ")} did not fail`);
  return stderr.trim();
}

async function sleeper(name: string, ...args: readonly string[]): Promise<void> {
  await docker("run", "-d", "--name", name, ...args, "busybox", "sleep", "100000");
}

/** A container whose page at port 80 is its name. */
async function web(name: string, ...args: readonly string[]): Promise<void> {
  const script = `mkdir /www && echo ${name} > /www/index.html && exec httpd -f -p 80 -h /www`;
  await docker("run", "-d", "--name", name, ...args, "busybox", "sh", "-c", script);
  await untilPasses(async () => {
    assert.equal(await docker("exec", name, "wget", "-q", "-O-", "http://127.0.0.1/"), name);
  });
}

async function placeOf(name: string): Promise<NetworkPlace> {
  return new NetworkPlace(Number(await docker("inspect", "-f", "{{.State.Pid}}", name)));
}

async function addressOf(name: string, network: string, field = "IPAddress"): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${network}").${field}}}`;
  return await docker("inspect", "-f", format, name);
}

/** Addresses that a container finds for a name, by asking its server. */
async function lookup(container: string, name: string, type = "a"): Promise<string[]> {
  const { stdout } = await engine.tryDocker(["exec", container, "nslookup", `-type=${type}`, name]);
  const answers = stdout.split("\n").slice(3);
  return answers
    .flatMap(
      (line) => /^Address:\s+(\S+)$/.exec(line)?.[1] ?? /name = (\S+)$/.exec(line)?.[1] ?? [],
    )
    .toSorted();
}

describe("networks of the stock CLI", () => {
  it("are made, shown, used, left and removed", async () => {
    const id = await docker(
      "network",
      "create",
      "--label",
      "of=harbour",
      "-o",
      "com.docker.network.driver.mtu=1400",
      "quay",
    );
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(await docker("network", "ls", "-q", "--no-trunc", "-f", "label=of=harbour"), id);
    for (const [pattern, found] of [
      ["^quay$", id],
      ["ua", id],
      ["^ua", ""],
    ] as const) {
      assert.equal(
        await docker("network", "ls", "-q", "--no-trunc", "-f", `name=${pattern}`),
        found,
      );
    }
    await sleeper("one", "--network", "quay");
    await sleeper("two");
    assert.match(await docker("exec", "one", "ip", "link", "show", "eth0"), /mtu 1400/);
    await docker("network", "connect", "quay", "two");
    const shown = await docker(
      "network",
      "inspect",
      "-f",
      "{{range .Containers}}{{.Name}} {{.IPv4Address}} {{end}}",
      "quay",
    );
    assert.match(shown, /one \d+\.\d+\.\d+\.\d+\/16 two \d+\.\d+\.\d+\.\d+\/16|two .* one /);
    assert.match(await docker("exec", "two", "ip", "-o", "-4", "addr", "show", "eth1"), /inet /);
    assert.match(
      await refusal("network", "rm", "quay"),
      /^Error response from daemon: error while removing network: network quay has active endpoints \(name:"(one|two)" id:"[0-9a-f]{12}", name:/,
    );
    assert.match(
      await refusal("network", "connect", "quay", "two"),
      /endpoint with name two already exists in network quay/,
    );
    await docker("network", "disconnect", "quay", "two");
    assert.match(
      await refusal("network", "disconnect", "quay", "two"),
      /container [0-9a-f]{64} is not connected to network quay/,
    );
    await docker("rm", "-f", "one");
    assert.match(await docker("network", "prune", "-f"), /Deleted Networks:\nquay/);
    assert.match(await refusal("network", "inspect", "quay"), /network quay not found/);
  });

  it("give static addresses, several subnets' families, and MAC addresses", async () => {
    await docker(
      "network",
      "create",
      "--subnet",
      "10.231.4.0/24",
      "--ip-range",
      "10.231.4.128/25",
      "--gateway",
      "10.231.4.254",
      "--aux-address",
      "crane=10.231.4.129",
      "--ipv6",
      "--subnet",
      "fd42:5::/64",
      "both",
    );
    await sleeper(
      "fixed",
      "--network",
      "both",
      "--ip",
      "10.231.4.9",
      "--ip6",
      "fd42:5::9",
      "--mac-address",
      "02:42:00:00:00:09",
    );
    assert.equal(await addressOf("fixed", "both"), "10.231.4.9");
    assert.equal(await addressOf("fixed", "both", "GlobalIPv6Address"), "fd42:5::9");
    assert.match(await docker("exec", "fixed", "ip", "link", "show", "eth0"), /02:42:00:00:00:09/);
    assert.match(await docker("exec", "fixed", "ip", "route"), /^default via 10\.231\.4\.254 /);
    await sleeper("free", "--network", "both");
    assert.equal(await addressOf("free", "both"), "10.231.4.128");
    await docker("exec", "free", "ping", "-c1", "-W2", "fd42:5::9");
    assert.match(
      await refusal("run", "--network", "both", "--ip", "10.231.4.9", "busybox", "true"),
      /Address already in use/,
    );
  });

  it("take their configuration from one that is kept for it", async () => {
    const conf = ["--config-only", "--subnet", "10.231.6.0/24", "--label", "of=conf"];
    const mtu = ["-o", "com.docker.network.driver.mtu=1400"];
    const id = await docker("network", "create", ...conf, ...mtu, "plan");
    await docker("network", "create", "--config-from", "plan", "made");
    const format =
      "{{json .Labels}} {{json .Options}} {{(index .IPAM.Config 0).Subnet}} {{.ConfigFrom.Network}}";
    assert.equal(
      await docker("network", "inspect", "-f", format, "made"),
      '{"of":"conf"} {"com.docker.network.driver.mtu":"1400"} 10.231.6.0/24 plan',
    );
    const found = await docker(
      "network",
      "ls",
      "-q",
      "--no-trunc",
      "-f",
      "driver=null",
      "-f",
      "name=plan",
    );
    assert.equal(found, id);
    const daemon = "Error response from daemon: ";
    assert.equal(
      await refusal("network", "rm", "plan"),
      `${daemon}error while removing network: configuration network "plan" is in use\nexit status 1`,
    );
    await sleeper("user");
    assert.equal(
      await refusal("network", "connect", "plan", "user"),
      `${daemon}cannot create endpoint on configuration-only network`,
    );
    assert.equal(await docker("network", "prune", "-f"), "Deleted Networks:\nmade\n");
    assert.equal(await docker("network", "rm", "plan"), "plan");
  });

  it("can have IPv6 alone", async () => {
    await docker("network", "create", "--ipv4=false", "--ipv6", "six");
    await web("aft", "--network", "six");
    await sleeper("bow", "--network", "six");
    assert.equal(await addressOf("bow", "six"), "");
    assert.deepEqual(await lookup("bow", "aft"), []);
    assert.deepEqual(await lookup("bow", "aft", "aaaa"), [
      await addressOf("aft", "six", "GlobalIPv6Address"),
    ]);
    await docker("exec", "bow", "ping", "-c1", "-W2", "aft");
    assert.doesNotMatch(await docker("exec", "bow", "ip", "-4", "-o", "addr"), /eth0/);
  });

  it("take the default route from the highest gateway priority", async () => {
    await docker("network", "create", "abc");
    await docker("network", "create", "xyz");
    await docker("create", "--name", "both", "--network", "abc", "busybox", "sleep", "100000");
    await docker("network", "connect", "--gw-priority", "5", "xyz", "both");
    await docker("start", "both");
    const gateway = await addressOf("both", "xyz", "Gateway");
    assert.ok((await docker("exec", "both", "ip", "route")).startsWith(`default via ${gateway} `));
    await docker("network", "disconnect", "xyz", "both");
    const other = await addressOf("both", "abc", "Gateway");
    assert.ok((await docker("exec", "both", "ip", "route")).startsWith(`default via ${other} `));
  });

  it("are shared with another container, the host, or nobody", async () => {
    await web("host-of", "--network", "none");
    const shared = await docker(
      "run",
      "--rm",
      "--network",
      "container:host-of",
      "busybox",
      "wget",
      "-q",
      "-O-",
      "http://127.0.0.1/",
    );
    assert.equal(shared, "host-of");
    assert.equal(
      await docker("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net"),
      "lo",
    );
    const onHost = await docker(
      "run",
      "--rm",
      "--network",
      "host",
      "busybox",
      "readlink",
      "/proc/self/ns/net",
    );
    assert.equal(
      onHost,
      execFileSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" }).trim(),
    );
    assert.match(
      await refusal("network", "connect", "bridge", "host-of"),
      /container cannot be connected to multiple networks with one of the networks in private \(none\) mode/,
    );
    await docker("network", "disconnect", "none", "host-of");
    await docker("network", "connect", "bridge", "host-of");
    assert.match(await docker("exec", "host-of", "ip", "route"), /^default via /);
  });
});

describe("names", () => {
  it("are those of containers, aliases, short IDs and links, forwards and backwards", async () => {
    await docker("network", "create", "harbour");
    await sleeper(
      "pilot",
      "--network",
      "harbour",
      "--network-alias",
      "boat",
      "--hostname",
      "pilothouse",
    );
    await sleeper(
      "tug",
      "--network",
      "harbour",
      "--network-alias",
      "boat",
      "--link",
      "pilot:guide",
    );
    const pilot = await addressOf("pilot", "harbour");
    const tug = await addressOf("tug", "harbour");
    const id = (await docker("inspect", "-f", "{{.Id}}", "pilot")).slice(0, 12);
    for (const name of ["pilot", "PILOT", id, "pilothouse", "guide", "pilot.harbour"]) {
      assert.deepEqual(await lookup("tug", name), [pilot], name);
    }
    assert.deepEqual(await lookup("pilot", "guide"), []);
    assert.deepEqual(await lookup("tug", "boat"), [pilot, tug].toSorted());
    assert.deepEqual(
      await lookup("tug", pilot.split(".").reverse().join(".") + ".in-addr.arpa", "ptr"),
      ["pilot.harbour"],
    );
    // The C library's way, which asks for both families.
    assert.match(await docker("exec", "tug", "ping", "-c1", "-W2", "guide"), / 0% packet loss/);
    const hosts = await docker("exec", "tug", "cat", "/etc/hosts");
    assert.doesNotMatch(hosts, /pilot/);
    assert.match(hosts, new RegExp(`^${tug}\t[0-9a-f]{12}$`, "m"));
    await docker("rename", "pilot", "captain");
    await untilPasses(async () => {
      assert.deepEqual(await lookup("tug", "captain"), [pilot]);
    });
    assert.deepEqual(await lookup("tug", "guide"), [pilot]);
    await docker("stop", "-t", "0", "captain");
    await untilPasses(async () => {
      assert.deepEqual(await lookup("tug", "boat"), [tug]);
    });
  });

  it("come and go with the networks of a running container", async () => {
    await docker("network", "create", "harbour");
    await sleeper("pilot", "--network", "harbour");
    await sleeper("guest");
    assert.doesNotMatch(await docker("exec", "guest", "cat", "/etc/resolv.conf"), /127\.0\.0\.11/);
    await docker("network", "connect", "--alias", "visitor", "harbour", "guest");
    assert.match(
      await docker("exec", "guest", "cat", "/etc/resolv.conf"),
      /^nameserver 127\.0\.0\.11\noptions.* ndots:0$/m,
    );
    await untilPasses(async () => {
      assert.deepEqual(await lookup("guest", "pilot"), [await addressOf("pilot", "harbour")]);
      assert.deepEqual(await lookup("pilot", "visitor"), [await addressOf("guest", "harbour")]);
    });
    await docker("network", "disconnect", "harbour", "guest");
    await untilPasses(async () => {
      assert.deepEqual(await lookup("pilot", "visitor"), []);
      assert.deepEqual(await lookup("guest", "pilot"), []);
    });
  });

  it("leave a resolv.conf alone that was changed in the container", async () => {
    await docker("network", "create", "harbour");
    await sleeper("own");
    await docker("exec", "own", "sh", "-c", "echo nameserver 192.0.2.7 > /etc/resolv.conf");
    await docker("network", "connect", "harbour", "own");
    assert.equal(await docker("exec", "own", "cat", "/etc/resolv.conf"), "nameserver 192.0.2.7");
  });

  it("resolve while container-service is dead, and are true again when it is back", async () => {
    await docker("network", "create", "harbour");
    await sleeper("pilot", "--network", "harbour");
    await sleeper("tug", "--network", "harbour");
    const [pilot, tug] = [await placeOf("pilot"), await placeOf("tug")];
    const address = await addressOf("pilot", "harbour");
    await engine.kill9("container-service");
    const { stdout } = await tug.run("busybox", "nslookup", "-type=a", "pilot", "127.0.0.11");
    assert.match(stdout, new RegExp(`Address: ${address}\n`));
    // One that ends meanwhile is told to nobody.
    process.kill(pilot.pid, "SIGKILL");
    await engine.ready();
    await untilPasses(async () => {
      assert.deepEqual(await lookup("tug", "pilot"), []);
    });
    await docker("start", "pilot");
    assert.deepEqual(await lookup("tug", "pilot"), [await addressOf("pilot", "harbour")]);
  });

  it("leave port 53 to the container, and serve those who share its network", async () => {
    await docker("network", "create", "harbour");
    await docker(
      "run",
      "-d",
      "--name",
      "dns",
      "--network",
      "harbour",
      "busybox",
      "nc",
      "-ll",
      "-p",
      "53",
      "-e",
      "echo",
      "mine",
    );
    assert.equal(
      await docker("exec", "dns", "sh", "-c", "nc -w 2 127.0.0.1 53 </dev/null"),
      "mine",
    );
    assert.deepEqual(await lookup("dns", "dns"), [await addressOf("dns", "harbour")]);
    const joined = await docker(
      "run",
      "--rm",
      "--network",
      "container:dns",
      "busybox",
      "nslookup",
      "-type=a",
      "dns",
    );
    assert.match(joined, new RegExp(`Address: ${await addressOf("dns", "harbour")}`));
  });

  it("are links and extra hosts on the default bridge", async () => {
    await sleeper("db");
    await sleeper(
      "app",
      "--link",
      "db:store",
      "--add-host",
      "me:host-gateway",
      "--add-host",
      "far:192.0.2.9",
    );
    const hosts = await docker("exec", "app", "cat", "/etc/hosts");
    const db = await addressOf("db", "bridge");
    assert.match(hosts, new RegExp(`^${db}\tstore [0-9a-f]{12} db$`, "m"));
    assert.match(hosts, new RegExp(`^${await addressOf("app", "bridge", "Gateway")}\tme$`, "m"));
    assert.match(hosts, /^192\.0\.2\.9\tfar$/m);
    assert.match(await docker("exec", "app", "ping", "-c1", "-W2", "store"), / 0% packet loss/);
  });
});

describe("isolation", () => {
  it("keeps networks apart in both directions, and lets them out", async () => {
    await docker("network", "create", "one");
    await docker("network", "create", "two");
    await web("aft", "--network", "one");
    await web("bow", "--network", "two");
    const [a, b] = [await placeOf("aft"), await placeOf("bow")];
    assert.equal(await a.fetch(await addressOf("bow", "two"), 80), "timeout");
    assert.equal(await b.fetch(await addressOf("aft", "one"), 80), "timeout");
    // From outside, by a route over the host, neither.
    assert.equal(await outside.fetch(await addressOf("aft", "one"), 80), "timeout");
    await using _server = await outside.serveUdp(9000, "outside");
    assert.equal(await a.askUdp(outside.address, 9000), "outside");
    assert.deepEqual(await lookup("aft", "bow"), []);
  });

  it("lets nothing out of an internal network, nor in", async () => {
    await docker("network", "create", "--internal", "cellar");
    await web("in", "--network", "cellar", "-p", "8099:80");
    await sleeper("near", "--network", "cellar");
    const inside = await placeOf("in");
    assert.deepEqual(await lookup("near", "in"), [await addressOf("in", "cellar")]);
    assert.equal(await (await placeOf("near")).fetch(await addressOf("in", "cellar"), 80), "in");
    await using _server = await outside.serveUdp(9000, "outside");
    assert.equal(await inside.askUdp(outside.address, 9000), "refused");
    assert.equal(await outside.fetch(await addressOf("in", "cellar"), 80), "timeout");
    assert.doesNotMatch(await docker("exec", "in", "ip", "route"), /default/);
    assert.match(
      (await engine.tryDocker(["exec", "in", "nslookup", "example.com"])).stdout,
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
    await using _server = await outside.tellSources(9000);
    assert.equal(await (await placeOf("aft")).askUdp(outside.address, 9000), outside.host);
    assert.equal(
      await (await placeOf("bow")).askUdp(outside.address, 9000),
      await addressOf("bow", "open"),
    );
  });

  it("hides them behind another of the host's addresses, where that is wanted", async (t) => {
    const source = outside.host.replace(/1$/, "9");
    execFileSync("ip", ["addr", "add", `${source}/32`, "dev", "lo"]);
    t.after(() => execFileSync("ip", ["addr", "del", `${source}/32`, "dev", "lo"]));
    await docker("network", "create", "-o", `com.docker.network.host_ipv4=${source}`, "masked");
    await sleeper("aft", "--network", "masked");
    await using _server = await outside.tellSources(9000);
    assert.equal(await (await placeOf("aft")).askUdp(outside.address, 9000), source);
  });

  it("gives the bridge no address where another is the gateway, or nobody", async () => {
    const named = (name: string): string[] => ["-o", `com.docker.network.bridge.name=${name}`];
    const inhibit = ["-o", "com.docker.network.bridge.inhibit_ipv4=true"];
    const isolated = ["--internal", "-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated"];
    await docker("network", "create", ...named("e2elent"), ...inhibit, "lent");
    await docker("network", "create", ...named("e2ecut"), ...isolated, "cut");
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

  it("leaves no IPv6 where none was asked for", async () => {
    await docker("network", "create", "-o", "com.docker.network.bridge.name=e2efour", "four");
    await sleeper("aft", "--network", "four");
    const inside = await placeOf("aft");
    const shown = ["ip", "-6", "-o", "addr", "show", "dev"];
    assert.equal((await inside.run(...shown, "eth0")).stdout, "");
    assert.equal(execFileSync("ip", [...shown.slice(1), "e2efour"], { encoding: "utf8" }), "");
    // To all neighbours, for which no address is needed but one's own.
    const sent = await inside.run("ping", "-6", "-c1", "-W1", "-I", "eth0", "ff02::1");
    assert.notEqual(sent.code, 0);
  });

  it("can be had between containers of one network", async () => {
    await docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "cells");
    await web("aft", "--network", "cells", "-p", "127.0.0.1::80");
    await sleeper("bow", "--network", "cells");
    assert.equal(
      await (await placeOf("bow")).fetch(await addressOf("aft", "cells"), 80),
      "timeout",
    );
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
    assert.equal(await outside.fetch(outside.host, port), "srv");
    assert.equal(await host.fetch("127.0.0.1", port), "srv");
    assert.equal(await host.fetch("::1", port), "srv");
    assert.equal(await (await placeOf("near")).fetch(outside.host, port), "srv");
    assert.equal(await (await placeOf("srv")).fetch(outside.host, port), "srv");
    await docker("rm", "-f", "srv");
    assert.equal(await host.fetch("127.0.0.1", port), "refused");
  });

  it("are reached on the loopback only, when they are bound there", async () => {
    await web("srv", "-p", "127.0.0.1::80");
    const port = await portOf("srv", "80/tcp");
    assert.equal(await host.fetch("127.0.0.1", port), "srv");
    assert.notEqual(await outside.fetch(outside.host, port), "srv");
    await outside.run("ip", "route", "add", "127.0.0.1/32", "via", outside.host, "table", "local");
    assert.notEqual(await outside.fetch("127.0.0.1", port), "srv");
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
    assert.equal(await outside.askUdp(outside.host, udp), "pong");
    assert.equal(await host.askUdp("127.0.0.1", udp), "pong");
    assert.ok((await portOf("all", "90/tcp")) > 0);
  });

  it("are refused when a container or a program of the host has them, and leave nothing behind", async () => {
    await sleeper("holder", "-p", "127.0.0.1::80");
    const taken = await portOf("holder", "80/tcp");
    const before = kernelState();
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
    assert.deepEqual(kernelState(), before);
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
      const relays = await run(["sh", "-c", "grep -lsz relay /proc/[0-9]*/cmdline | wc -l"]);
      return { ms, processes: Number(relays.stdout) };
    };
    const ten = await started("ten", "22000-22009");
    const thousand = await started("thousand", "22010-23009");
    assert.equal(thousand.processes, ten.processes);
    assert.ok(
      thousand.ms < ten.ms * 3 + 1000,
      `${String(ten.ms)} ms, then ${String(thousand.ms)} ms`,
    );
    assert.equal((await docker("port", "thousand")).split("\n").length, 1000);
  });

  it("of sctp are refused where the kernel has none", async () => {
    const { code, stderr } = await engine.tryDocker([
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

describe("networks on a link of the host", () => {
  const parent = `e2em${String(process.pid)}`;
  before(() => {
    execFileSync("ip", ["link", "add", parent, "type", "bridge"]);
    execFileSync("ip", ["link", "set", parent, "up"]);
  });
  after(() => {
    execFileSync("ip", ["link", "del", parent]);
  });

  for (const driver of ["macvlan", "ipvlan"]) {
    it(`connect containers by ${driver}, with names`, async () => {
      await docker(
        "network",
        "create",
        "-d",
        driver,
        "-o",
        `parent=${parent}`,
        "--subnet",
        "10.231.20.0/24",
        "lan",
      );
      const probe = ["link", "add", "link", parent, "name", `${parent}p`, "type", driver];
      const isKnown = (await run(["ip", ...probe])).code === 0;
      if (!isKnown) {
        assert.match(await refusal("run", "--network", "lan", "busybox", "true"), /not supported/);
        return;
      }
      execFileSync("ip", ["link", "del", `${parent}p`]);
      await sleeper("aft", "--network", "lan");
      await sleeper("bow", "--network", "lan");
      assert.match(await docker("exec", "aft", "ping", "-c1", "-W2", "bow"), / 0% packet loss/);
      assert.match(
        await docker("exec", "aft", "ip", "route"),
        /^default via 10\.231\.20\.1 dev eth0/,
      );
    });
  }
});

describe("bad input of networks", () => {
  it("of a macvlan without a parent is none: it gets one that leads nowhere", async () => {
    const { code, stderr } = await engine.tryDocker([
      "network",
      "create",
      "-d",
      "macvlan",
      "alone",
    ]);
    const hasDummies = (await run(["ip", "link", "add", "e2edm", "type", "dummy"])).code === 0;
    if (!hasDummies) {
      assert.match(stderr, /^Error response from daemon: operation not supported\n/);
      return;
    }
    execFileSync("ip", ["link", "del", "e2edm"]);
    assert.equal(code, 0, stderr);
    const net = ["run", "--rm", "--network", "alone", "busybox"];
    assert.match(await docker(...net, "ip", "-o", "link", "show", "eth0"), /eth0/);
    await docker("network", "rm", "alone");
  });

  it("is refused in Docker's words, and nothing is left behind", async () => {
    await docker("network", "create", "--subnet", "10.231.9.0/24", "taken");
    await sleeper("user", "--network", "taken");
    const before = kernelState();
    const cases: readonly (readonly [args: readonly string[], text: RegExp])[] = [
      [["--subnet", "10.231.9.128/25", "x"], /Pool overlaps with other one on this address space/],
      [
        ["--subnet", "10.231.10.0", "x"],
        /invalid subnet 10\.231\.10\.0: invalid CIDR block notation/,
      ],
      [
        ["--subnet", "10.231.10.1/24", "x"],
        /invalid subnet 10\.231\.10\.1\/24: it should be 10\.231\.10\.0\/24/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--gateway", "10.231.11.1", "x"],
        /no matching subnet for gateway 10\.231\.11\.1/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--ip-range", "10.231.11.0/25", "x"],
        /no matching subnet for range 10\.231\.11\.0\/25/,
      ],
      [["taken"], /network with name taken already exists/],
      [["bridge"], /operation is not permitted on predefined bridge network/],
      [["-d", "nope", "x"], /plugin "nope" not found/],
      [["-d", "host", "x"], /only one instance of "host" network is allowed/],
      [["--ipam-driver", "nope", "x"], /plugin "nope" not found/],
      [["-d", "overlay", "x"], /This node is not a swarm manager/],
      [["--ipv4=false", "x"], /IPv4 or IPv6 must be enabled/],
      [
        ["-o", "com.docker.network.driver.mtu=much", "x"],
        /failed to parse com\.docker\.network\.driver\.mtu value: much \(strconv\.Atoi: parsing "much": invalid syntax\)/,
      ],
      [
        ["-d", "macvlan", "-o", "parent=nosuchlink", "x"],
        /invalid subinterface vlan name nosuchlink, example formatting is eth0\.10/,
      ],
      [
        ["-d", "ipvlan", "-o", "parent=nosuchlink.7", "x"],
        /-o parent interface was not found on the host: nosuchlink/,
      ],
      [
        ["-d", "macvlan", "-o", "macvlan_mode=l2", "x"],
        /requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--subnet", "10.231.11.0/24", "x"],
        /bridge driver doesn't support multiple subnets/,
      ],
      [["--ipam-driver", "null", "x"], /: ipv4 pool is empty$/],
      [
        ["--ipv6", "--subnet", "ff02::/64", "x"],
        /: multicast subnet 'ff02::1\/64' is not allowed$/,
      ],
      [
        ["--ipv6", "--subnet", "fd42:9::/128", "x"],
        /: failed to allocate gateway \(\): no available addresses on this pool$/,
      ],
      [["-o", "com.docker.network.driver.mtu=67", "x"], /: invalid argument$/],
      [
        ["-o", "com.docker.network.bridge.name=longerthanlinks0", "x"],
        /: numerical result out of range$/,
      ],
      [["-o", "com.docker.network.bridge.name=a/b", "x"], /: invalid argument$/],
      [
        ["-o", "com.docker.network.bridge.name=lo", "x"],
        /: existing interface lo is not a bridge$/,
      ],
      [
        ["-o", "com.docker.network.bridge.inhibit_ipv4=x", "x"],
        /failed to parse com\.docker\.network\.bridge\.inhibit_ipv4 value: x \(strconv\.ParseBool/,
      ],
      [
        ["-o", "com.docker.network.host_ipv4=x", "x"],
        /failed to parse com\.docker\.network\.host_ipv4 value: x \(nil ip\)/,
      ],
      [
        ["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated", "x"],
        /: gateway mode 'isolated' can only be used for an internal network$/,
      ],
      [
        ["-d", "ipvlan", "-o", "ipvlan_flag=x", "x"],
        /requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--gateway", "10.231.10.255", "x"],
        /failed to allocate gateway \(10\.231\.10\.255\): Address already in use/,
      ],
    ];
    for (const [args, text] of cases)
      assert.match(await refusal("network", "create", ...args), text);
    assert.match(
      await refusal("network", "rm", "bridge"),
      /bridge is a pre-defined network and cannot be removed/,
    );
    assert.match(await refusal("network", "rm", "nosuch"), /network nosuch not found/);
    assert.match(await refusal("network", "connect", "nosuch", "user"), /network nosuch not found/);
    assert.match(
      await refusal("network", "connect", "taken", "nosuch"),
      /No such container: nosuch/,
    );
    assert.match(
      await refusal("network", "disconnect", "host", "user"),
      /container [0-9a-f]{64} is not connected to network host/,
    );
    assert.match(
      await refusal("run", "--network", "taken", "--ip", "10.231.10.9", "busybox", "true"),
      /: invalid config for network taken: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10\.231\.10\.9\n/,
    );
    await docker("network", "create", "chosen");
    const [chosen = ""] = (
      await docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "chosen")
    ).split("/");
    assert.match(
      await refusal(
        "run",
        "--network",
        "chosen",
        "--ip",
        chosen.replace(/0$/, "9"),
        "busybox",
        "true",
      ),
      /: invalid config for network chosen: invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets\n/,
    );
    await docker("network", "rm", "chosen");
    for (const [name, why] of [
      ["longerthanlinks0", "numerical result out of range"],
      ["a/b", "invalid argument"],
      ["lo", "file exists"],
    ] as const) {
      const wish = `name=taken,driver-opt=com.docker.network.endpoint.ifname=${name}`;
      assert.match(
        await refusal("run", "--network", wish, "busybox", "true"),
        new RegExp(`error renaming interface to "${name}": ${why}\n`),
      );
    }
    // Of no bridge: whichever subnet the default one has found free.
    assert.match(
      await refusal("run", "--ip", "198.51.100.9", "busybox", "true"),
      /: invalid config for network bridge: invalid endpoint settings:\n\* user specified IP address is supported on user defined networks only\n\* user specified IP address is supported only when connecting to networks with user configured subnets\n/,
    );
    assert.match(
      await refusal("run", "--network-alias", "x", "busybox", "true"),
      /network-scoped aliases are only supported for user-defined networks/,
    );
    assert.match(
      await refusal("run", "--network", "nosuch", "busybox", "true"),
      /: failed to set up container networking: network nosuch not found\n/,
    );
    assert.match(
      await refusal("run", "--network", "container:nosuch", "busybox", "true"),
      /: joining network namespace of container: No such container: nosuch\n/,
    );
    assert.match(
      await refusal("run", "--network", "taken", "--ip", "10.231.9.1", "busybox", "true"),
      /: failed to set up container networking: Address already in use\n/,
    );
    assert.match(
      await refusal("run", "--network", "taken", "--link-local-ip", "10.1.1.1", "busybox", "true"),
      /: failed to set up container networking: invalid link local IP address: 10\.1\.1\.1\n/,
    );
    assert.deepEqual(kernelState(), before);
  });
});
