/** Connects and disconnects that a kill -9 of container-service cuts short. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask } from "../src/http.ts";
import { useNetworkBed } from "../src/network-bed.ts";

const bed = useNetworkBed();
const { docker, sleeper, placeOf } = bed;

async function kill9(): Promise<void> {
  await bed.engine.kill9("container-service");
  await bed.engine.ready();
}

/** IPv4 addresses that a container has, and those that inspect shows. */
async function addressesOf(name: string): Promise<{ has: string[]; shown: string[] }> {
  const { stdout } = await (await placeOf(name)).run("ip", "-j", "-4", "addr");
  const links = JSON.parse(stdout) as { ifname: string; addr_info: { local: string }[] }[];
  const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
  return {
    has: links
      .filter(({ ifname }) => ifname !== "lo")
      .flatMap((link) => link.addr_info.map(({ local }) => local))
      .toSorted(),
    shown: (await docker("inspect", "-f", format, name)).trim().split(" ").toSorted(),
  };
}

describe("a kill of container-service", () => {
  it("leaves no interface that no record knows: the next one can have its name", async () => {
    await docker("network", "create", "quay");
    await sleeper("up");
    const { pid } = await placeOf("up");
    const stray = `${bed.engine.linkPrefix}_stray1`;
    assert.equal(stray.length, 15, "as long as our names are");
    const peer = ["type", "veth", "peer", "name", "eth1", "netns", String(pid)];
    execFileSync("ip", ["link", "add", stray, ...peer]);
    const place = await placeOf("up");
    await place.run("ip", "link", "set", "eth1", "up");
    execFileSync("ip", ["link", "set", stray, "up"]);
    await place.run("ip", "route", "replace", "default", "dev", "eth1");
    await kill9();
    assert.equal(bed.kernelState().links.includes(stray), false);
    assert.match(await docker("exec", "up", "ip", "route"), /^default via \S+ dev eth0/);
    await docker("network", "connect", "quay", "up");
    assert.match(await docker("exec", "up", "ip", "link", "show", "eth1"), /UP/);
    await docker("rm", "-f", "up");
  });

  it("changes nothing that inspect shows and containers see, in whatever mode they are", async () => {
    await docker("network", "create", "--ipv6", "quay");
    await docker("network", "create", "--internal", "dock");
    const modes: Record<string, readonly string[]> = {
      plain: ["-p", "127.0.0.1::80"],
      named: [
        "--network",
        "quay",
        "--network-alias",
        "al",
        "-p",
        "127.0.0.1::80/udp",
        "--dns",
        "9.9.9.9",
      ],
      linked: ["--link", "plain:other", "--add-host", "far:192.0.2.9"],
      guest: ["--network", "container:plain"],
      ofHost: ["--network", "host"],
      ofNone: ["--network", "none"],
    };
    for (const [name, options] of Object.entries(modes)) await sleeper(name, ...options);
    await docker("network", "connect", "--alias", "late", "dock", "named");
    const files = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/proc/net/route"];
    // The host's routes are others', too, who come and go.
    const isOthers = (name: string, line: string): boolean =>
      name === "ofHost" && /\t[0-9A-F]{8}\t/.test(line) && !line.startsWith(bed.engine.linkPrefix);
    const look = async (): Promise<Record<string, unknown>> => {
      const seen: Record<string, unknown> = {};
      for (const name of Object.keys(modes)) {
        seen[name] = JSON.parse(await docker("inspect", name));
        const lines = (await docker("exec", name, "cat", ...files)).split("\n");
        seen[`${name}: files`] = lines.filter((line) => !isOthers(name, line));
      }
      for (const network of ["bridge", "quay", "dock"])
        seen[network] = JSON.parse(await docker("network", "inspect", network));
      return seen;
    };
    const before = await look();
    await kill9();
    assert.deepEqual(await look(), before);
  });

  it("in the middle of many connects and disconnects leaves what inspect shows, and no more", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `ship${String(index)}`);
    await docker("network", "create", "one");
    await docker("network", "create", "two");
    for (const name of names) await sleeper(name);
    let ended = false;
    const answers: { status: number; body: string }[] = [];
    const change = async (network: string, what: string, name: string): Promise<void> => {
      const path = `/networks/${network}/${what}`;
      const { status, body } = await ask(bed.engine, {
        method: "POST",
        path,
        body: { Container: name },
      });
      answers.push({ status, body });
    };
    const churn = async (name: string): Promise<void> => {
      for (let round = 0; !ended; round++) {
        const network = round % 2 === 0 ? "one" : "two";
        await change(network, "connect", name);
        await change(network, "disconnect", name);
      }
    };
    const churning = Promise.all(names.map(churn));
    try {
      for (let kill = 0; kill < 3; kill++) {
        const before = answers.length;
        await untilPasses(() => {
          assert.ok(answers.length > before + 20, "they are in the middle of it");
        });
        await kill9();
      }
    } finally {
      ended = true;
      await churning;
    }
    // Not there for a moment, or changed before the answer could be given: nothing else goes wrong.
    const known =
      /container-service is not available|already exists in network|is not connected to network/;
    for (const { status, body } of answers) if (status !== 200) assert.match(body, known);
    for (const name of names) {
      const { has, shown } = await addressesOf(name);
      assert.deepEqual(has, shown, name);
    }
    await docker("rm", "-f", ...names);
    const body = (await ask(bed.engine, { path: "/networks/one" })).body;
    const subnets = (JSON.parse(body) as { Status: { IPAM: { Subnets: Record<string, object> } } })
      .Status.IPAM.Subnets;
    assert.deepEqual(
      Object.values(subnets).map((each) => (each as { IPsInUse: number }).IPsInUse),
      [3],
    );
  });
});
