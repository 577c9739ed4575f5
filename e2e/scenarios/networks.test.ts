/** Networks with the stock CLI: what they are made of. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { run } from "@gantry/testkit";
import { untilPasses } from "@gantry/testkit/until-passes";
import { useNetworkBed } from "../src/network-bed.ts";

const bed = useNetworkBed();
const { docker, refusal, sleeper, web, placeOf, addressOf, lookup } = bed;

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
    const joined = await docker("exec", "two", "ip", "-o", "-4", "addr", "show", "eth1");
    assert.match(joined, /inet \d+\.\d+\.0\.\d+\/16 brd \d+\.\d+\.255\.255 /);
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
    await docker("exec", "free", "ping", "-c1", "-W20", "fd42:5::9");
    assert.match(
      await refusal("run", "--network", "both", "--ip", "10.231.4.9", "busybox", "true"),
      /Address already in use/,
    );
  });

  it("give the lowest addresses that are free, and tell neighbours of their next owner", async () => {
    await docker("network", "create", "--ipv6", "quay");
    await web("two", "--network", "quay");
    for (const name of ["three", "caller"]) await sleeper(name, "--network", "quay");
    const caller = await placeOf("caller");
    const own = async (name: string): Promise<string[]> => [
      await addressOf(name, "quay"),
      await addressOf(name, "quay", "GlobalIPv6Address"),
    ];
    const given = await own("two");
    for (const address of given) assert.equal(await caller.fetch(address, 80), "two");
    await docker("rm", "-f", "two");
    await docker("restart", "-t0", "three");
    assert.deepEqual(await own("three"), given);
    const mac = await addressOf("three", "quay", "MacAddress");
    // The caller has sent nothing since, so that it has not asked.
    for (const address of given) {
      await untilPasses(async () => {
        const { stdout } = await caller.run("ip", "neigh", "show", "to", address);
        assert.ok(stdout.includes(mac), `${stdout} instead of ${mac}`);
      });
    }
    await sleeper("next", "--network", "quay");
    const kept = await own("next");
    await docker("restart", "-t0", "next");
    assert.deepEqual(await own("next"), kept);
  });

  it("tell neighbours of every next owner of an address", async () => {
    await docker("network", "create", "--ipv6", "berth");
    await sleeper("watcher", "--network", "berth");
    const watcher = await placeOf("watcher");
    const known = new Set<string>();
    const isKnown = async (name: string): Promise<void> => {
      const mac = await addressOf(name, "berth", "MacAddress");
      for (const key of ["IPAddress", "GlobalIPv6Address"] as const) {
        const address = await addressOf(name, "berth", key);
        await untilPasses(async () => {
          const { stdout } = await watcher.run("ip", "neigh", "show", "to", address);
          // Who has never asked need not be told.
          assert.ok(!known.has(address) || stdout.includes(mac), `${stdout} instead of ${mac}`);
        });
        assert.equal(await watcher.fetch(address, 80), name);
        known.add(address);
      }
    };
    for (let round = 0; round < 6; round += 1) {
      const name = `berthed-${String(round)}`;
      await web(name, "--network", "berth");
      await isKnown(name);
      await docker("rm", "-f", name);
    }
    await web("moored");
    for (let round = 0; round < 6; round += 1) {
      await docker("network", "connect", "berth", "moored");
      await isKnown("moored");
      await docker("network", "disconnect", "berth", "moored");
    }
    assert.equal(known.size, 2);
  });

  it("may be made after a container that does not run was connected, and be gone before it leaves them", async () => {
    await docker("create", "--name", "early", "busybox", "sleep", "1000");
    const endpoints = async (): Promise<Record<string, { Aliases: string[]; NetworkID: string }>> =>
      JSON.parse(await docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "early"));
    await docker("network", "connect", "--alias", "first", "--ip", "10.3.3.3", "unmade", "early");
    await docker("network", "connect", "--alias", "second", "unmade", "early");
    const kept = (await endpoints())["unmade"];
    assert.deepEqual([kept?.Aliases, kept?.NetworkID], [["second"], ""]);
    assert.match(
      await refusal("start", "early"),
      /failed to set up container networking: network unmade not found/,
    );
    await docker("network", "disconnect", "unmade", "early");
    const id = await docker("inspect", "-f", "{{.Id}}", "early");
    const notConnected = `Error response from daemon: container ${id} is not connected to the network unmade`;
    assert.equal((await refusal("network", "disconnect", "unmade", "early")).trim(), notConnected);

    await docker("network", "connect", "unmade", "early");
    await docker("network", "create", "unmade");
    await docker("start", "early");
    assert.match(await addressOf("early", "unmade", "IPAddress"), /^\d+\./);
    await docker("stop", "-t", "0", "early");
    await docker("network", "rm", "unmade");
    await docker("network", "disconnect", "unmade", "early");
    await docker("start", "early");
    assert.deepEqual(Object.keys(await endpoints()), ["bridge"]);

    const notFound = "Error response from daemon: network unmade not found";
    assert.equal((await refusal("network", "connect", "unmade", "early")).trim(), notFound);
    assert.equal((await refusal("network", "disconnect", "unmade", "early")).trim(), notFound);
    const forced = await refusal("network", "disconnect", "-f", "unmade", "early");
    assert.equal(forced.trim(), notConnected);
    await docker("create", "--name", "guest-of", "--network", "container:early", "busybox", "true");
    assert.match(
      await refusal("network", "connect", "unmade", "guest-of"),
      /container sharing network namespace with another container or host cannot be connected/,
    );
    await docker("rm", "-f", "early", "guest-of");
  });

  it("are those of their name until the first start, and of their ID from then on", async () => {
    await docker("network", "create", "dredged");
    await docker("create", "--name", "hull", "--network", "dredged", "busybox", "sleep", "1000");
    await docker("network", "rm", "dredged");
    const missing = (what: string): string =>
      `Error response from daemon: failed to set up container networking: network ${what} not found`;
    assert.equal((await refusal("start", "hull")).split("\n")[0], missing("dredged"));
    const id = await docker("network", "create", "dredged");
    await docker("start", "hull");
    const shown = async (): Promise<string> =>
      await docker("inspect", "-f", "{{json .NetworkSettings.Networks.dredged.DNSNames}}", "hull");
    const names = await shown();
    assert.match(names, /^\["hull","[0-9a-f]{12}"\]$/);
    await docker("stop", "-t", "0", "hull");
    await docker("network", "rm", "dredged");
    await docker("network", "create", "dredged");
    assert.equal((await refusal("start", "hull")).split("\n")[0], missing(id));
    assert.equal(await addressOf("hull", "dredged", "NetworkID"), id);
    assert.equal(await shown(), names);
    await docker("network", "connect", "dredged", "hull");
    await docker("start", "hull");
    await docker("rm", "-f", "hull");
    await docker("network", "rm", "dredged");
  });

  it("are kept as a configuration whatever their driver is said to be", async () => {
    for (const driver of ["null", "host", "macvlan", "nobodys"]) {
      await docker("network", "create", "--config-only", "-d", driver, `plan-${driver}`);
      const plan = await docker("network", "inspect", "-f", "{{.Driver}}", `plan-${driver}`);
      assert.equal(plan, "null");
      await docker("network", "rm", `plan-${driver}`);
      const until = (Date.now() / 1000).toFixed(3);
      const told = ["--since", "0", "--until", until, "-f", `network=plan-${driver}`];
      assert.equal(
        await docker("events", ...told, "--format", "{{.Action}} {{.Actor.Attributes.type}}"),
        "create null\ndestroy null",
      );
    }
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

  it("leave a default route alone that a program has changed, until another network is to have it", async () => {
    await docker("network", "create", "abc");
    await docker("network", "create", "xyz");
    await sleeper("vpn", "--network", "abc", "--cap-add", "NET_ADMIN");
    const ip = (...args: readonly string[]): Promise<string> =>
      docker("exec", "vpn", "ip", ...args);
    const gateway = await addressOf("vpn", "abc", "Gateway");
    const tunnel = gateway.replace(/\d+$/, "200");
    await ip("route", "replace", "default", "via", tunnel);
    await docker("network", "connect", "xyz", "vpn");
    assert.match(await ip("route"), new RegExp(`^default via ${tunnel} `));
    await docker("network", "disconnect", "xyz", "vpn");
    assert.match(await ip("route"), new RegExp(`^default via ${tunnel} `));
    await docker("network", "connect", "--gw-priority", "1", "xyz", "vpn");
    const other = await addressOf("vpn", "xyz", "Gateway");
    assert.match(await ip("route"), new RegExp(`^default via ${other} `));
    await docker("network", "disconnect", "xyz", "vpn");
    assert.match(await ip("route"), new RegExp(`^default via ${gateway} `));
    // Without the link that it leads over a container can be connected, too.
    await ip("link", "del", "eth0");
    await docker("network", "connect", "xyz", "vpn");
    assert.match(await ip("-o", "-4", "addr"), new RegExp(` ${await addressOf("vpn", "xyz")}/`));
  });

  it("take the default routes from a network of both families before its name counts, and names, too", async () => {
    await docker("network", "create", "abc");
    await docker("network", "create", "--ipv6", "--subnet", "fd00:e2e:9::/64", "xyz");
    await sleeper("peer", "--network", "abc", "--network", "xyz");
    await sleeper("both", "--network", "abc", "--network", "xyz");
    const gateway = await addressOf("both", "xyz", "Gateway");
    assert.ok((await docker("exec", "both", "ip", "route")).startsWith(`default via ${gateway} `));
    assert.deepEqual(await lookup("both", "peer"), [await addressOf("peer", "xyz")]);
    await sleeper("asked", "--network", "name=abc,gw-priority=1", "--network", "xyz");
    const other = await addressOf("asked", "abc", "Gateway");
    assert.ok((await docker("exec", "asked", "ip", "route")).startsWith(`default via ${other} `));
  });

  it("are told of when the beginning of an ID means several", async () => {
    const ids: string[] = [];
    for (let index = 0; index < 17; index++) {
      ids.push(await docker("network", "create", `many${String(index)}`));
    }
    const letter = (id: string): string => id.slice(0, 1);
    const groups = Object.groupBy(ids, letter);
    const [shared = "", group = []] =
      Object.entries(groups).find(([, group]) => (group ?? []).length > 1) ?? [];
    const others = (await docker("network", "ls", "-q", "--no-trunc"))
      .split("\n")
      .filter((id) => id.startsWith(shared));
    const count = String(others.length);
    assert.ok(others.length >= group.length);
    assert.match(
      await refusal("network", "rm", shared),
      new RegExp(`network ${shared} is ambiguous \\(${count} matches found based on ID prefix\\)`),
    );
    assert.match(
      await refusal("network", "inspect", shared),
      new RegExp(`${count} matches found based on ID prefix: network ${shared} is ambiguous`),
    );
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

describe("a container in another one's network", () => {
  it("has its name, and cannot be restarted without it", async () => {
    await sleeper("harbour", "--hostname", "pier", "--domainname", "example");
    await sleeper("guest", "--network", "container:harbour");
    const format = "{{.Config.Hostname}}.{{.Config.Domainname}}";
    assert.equal(await docker("inspect", "-f", format, "guest"), "pier.example");
    assert.equal(await docker("exec", "guest", "hostname"), "pier");
    await docker("rm", "-f", "harbour");
    assert.match(
      await refusal("restart", "-t", "0", "guest"),
      /Cannot restart container guest: joining network namespace of container: No such container: [0-9a-f]{64}$/,
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
