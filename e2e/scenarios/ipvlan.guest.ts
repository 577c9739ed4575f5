/**
 * Networks on a parent link by ipvlan, and on VLANs, which this machine's kernel does not have; run by `npm run test:cgroup2` in a
 * virtual machine with Debian's kernel. The file's name keeps it from the tests of this machine.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const [near, far] = ["ipvnear", "ipvfar"];
const outside = "ipvout";
const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });

/** Networks are routed by whoever is at the other end of the parent link: a machine of its own. */
describe("networks by ipvlan and on VLANs", () => {
  let engine: TestEngine;
  before(async () => {
    ip("netns", "add", outside);
    ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", outside);
    ip("link", "set", near, "up");
    ip("-n", outside, "link", "set", far, "up");
    engine = await TestEngine.start();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
    ip("link", "del", near);
    ip("netns", "del", outside);
  });

  const docker = (...args: string[]): Promise<string> => engine.docker(args);
  const inContainer = (name: string, ...args: string[]): Promise<string> =>
    docker("exec", name, ...args);
  const pings = async (name: string, target: string): Promise<void> => {
    assert.match(await inContainer(name, "ping", "-c1", "-W10", target), / 0% packet loss/);
  };

  for (const { mode, route } of [
    { mode: "l2", route: /^default via 10\.236\.1\.1 dev eth0/ },
    { mode: "l3", route: /^default dev eth0/ },
    { mode: "l3s", route: /^default dev eth0/ },
  ]) {
    it(`in mode ${mode} join containers with each other, by name, and with the parent's neighbours`, async () => {
      // In layer 2 the neighbour is the gateway; in layer 3 it has a route to the containers by the parent's address.
      const neighbour = mode === "l2" ? "10.236.1.1" : "10.236.2.1";
      ip("-n", outside, "addr", "add", `${neighbour}/24`, "dev", far);
      if (mode !== "l2") {
        ip("addr", "add", "10.236.2.2/24", "dev", near);
        ip("-n", outside, "route", "add", "10.236.1.0/24", "via", "10.236.2.2");
      }
      const options = ["-d", "ipvlan", "-o", `parent=${near}`, "-o", `ipvlan_mode=${mode}`];
      await docker("network", "create", ...options, "--subnet", "10.236.1.0/24", "lan");
      for (const name of ["aft", "bow"])
        await docker("run", "-d", "--name", name, "--network", "lan", "busybox", "sleep", "1000");
      assert.match(await inContainer("aft", "ip", "route"), route);
      await pings("aft", "bow");
      await pings("aft", neighbour);
      const gateway = "{{.NetworkSettings.Networks.lan.Gateway}}";
      const shown = mode === "l2" ? "10.236.1.1" : "";
      assert.equal(await docker("inspect", "-f", gateway, "aft"), shown);
      await docker("rm", "-f", "aft", "bow");
      await docker("network", "rm", "lan");
      ip("-n", outside, "addr", "flush", "dev", far);
      ip("addr", "flush", "dev", near);
    });
  }

  it("make the VLAN that they name, with its number, which no kill of container-service leaves behind", async () => {
    const vlan = `${near}.30`;
    const links = (): { ifname: string; ifalias?: string; linkinfo?: object }[] =>
      JSON.parse(ip("-d", "-j", "link")) as { ifname: string }[];
    const find = (name: string): ReturnType<typeof links>[number] | undefined =>
      links().find(({ ifname }) => ifname === name);
    const create = ["network", "create", "-d", "macvlan", "-o", `parent=${vlan}`, "tagged"];
    const id = await docker(...create);
    const made = find(vlan);
    assert.equal(made?.ifalias, `${engine.linkPrefix} network ${id}`);
    assert.partialDeepStrictEqual(made.linkinfo, { info_kind: "vlan", info_data: { id: 30 } });
    await engine.kill9("container-service");
    await engine.ready();
    assert.ok(find(vlan) !== undefined, "a network has it");
    await docker("network", "rm", "tagged");
    await untilPasses(() => {
      assert.equal(find(vlan), undefined);
    });
    // As a kill leaves them: made under a name of ours, then marked.
    const interim = `${engine.linkPrefix}-`.padEnd(15, "0");
    for (const [name, number] of [
      [interim, "31"],
      [vlan, "30"],
    ] as const)
      ip("link", "add", "link", near, "name", name, "type", "vlan", "id", number);
    ip("link", "set", vlan, "alias", `${engine.linkPrefix} network ${id}`);
    await engine.kill9("container-service");
    await engine.ready();
    assert.deepEqual([find(vlan), find(interim)], [undefined, undefined]);
    await docker(...create);
    await docker("network", "rm", "tagged");
  });
});
