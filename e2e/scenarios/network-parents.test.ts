/** Networks on a parent link: what they share it with, their VLANs, modes and addresses, as with a dockerd. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { run } from "@gantry/testkit";
import { useNetworkBed } from "../src/network-bed.ts";

const bed = useNetworkBed();
const { docker, refusal, sleeper, addressOf } = bed;
const parent = `e2em${String(process.pid)}`;
const create = (driver: string, ...args: string[]): string[] => [
  "network",
  "create",
  "-d",
  driver,
  ...args,
];
const on = (link: string, mode?: string): string[] => [
  ...["-o", `parent=${link}`],
  ...(mode === undefined ? [] : ["-o", `macvlan_mode=${mode}`]),
];
const hasLink = async (name: string): Promise<boolean> =>
  (await run(["ip", "link", "show", name])).code === 0;

describe("networks on a parent link", () => {
  before(() => {
    execFileSync("ip", ["link", "add", parent, "type", "bridge"]);
    execFileSync("ip", ["link", "set", parent, "up"]);
  });
  after(() => {
    execFileSync("ip", ["link", "del", parent]);
  });

  it("share it, but not with mode passthru, and of ipvlan not at all", async () => {
    const one = await docker(...create("macvlan", ...on(parent), "one"));
    await docker(...create("macvlan", ...on(parent, "vepa"), "two"));
    const uses = `is already using parent interface ${parent}`;
    assert.equal(
      await refusal(...create("macvlan", ...on(parent, "passthru"), "x")),
      `Error response from daemon: cannot use mode passthru, macvlan network ${one} ${uses}`,
    );
    await docker("network", "rm", "one", "two");
    const through = await docker(...create("macvlan", ...on(parent, "passthru"), "through"));
    assert.equal(
      await refusal(...create("macvlan", ...on(parent), "x")),
      `Error response from daemon: macvlan network ${through} ${uses} in mode passthru`,
    );
    const ipvlan = await docker(...create("ipvlan", ...on(parent), "other"));
    assert.equal(
      await refusal(...create("ipvlan", ...on(parent), "x")),
      `Error response from daemon: network di-${ipvlan.slice(0, 12)} ${uses}`,
    );
  });

  it("have no gateway where the parent routes: ipvlan in its modes of layer 3", async () => {
    for (const [mode, hasGateway] of [
      ["l2", true],
      ["l3", false],
      ["l3s", false],
    ] as const) {
      await docker(...create("ipvlan", ...on(parent), "-o", `ipvlan_mode=${mode}`, "routed"));
      const format = "{{range .IPAM.Config}}{{.Gateway}}{{end}}";
      const shown = await docker("network", "inspect", "-f", format, "routed");
      assert.equal(shown !== "", hasGateway, mode);
      await docker("network", "rm", "routed");
    }
  });

  it("have no gateway when they are internal, unless one is asked for", async () => {
    const gateways = async (...args: string[]): Promise<string> => {
      await docker(...create("macvlan", "--internal", ...on(parent), ...args, "shut"));
      const format = "{{range .IPAM.Config}}{{.Gateway}}{{end}}";
      const shown = await docker("network", "inspect", "-f", format, "shut");
      await sleeper("first", "--network", "shut");
      const address = await addressOf("first", "shut");
      assert.doesNotMatch(await docker("exec", "first", "ip", "route"), /default/);
      await docker("rm", "-f", "first");
      await docker("network", "rm", "shut");
      return `${shown} ${address.replace(/^.*\./, "")}`;
    };
    assert.equal(await gateways(), " 1");
    assert.equal(await gateways("--subnet", "10.232.1.0/24"), " 1");
    assert.equal(
      await gateways("--subnet", "10.232.1.0/24", "--gateway", "10.232.1.1"),
      "10.232.1.1 2",
    );
  });

  it("make the VLAN that they name, and take it away", async (t) => {
    const vlan = `${parent}.30`;
    const { code } = await run([
      ...["ip", "link", "add", "link", parent, "name", "e2evl", "type", "vlan", "id", "31"],
    ]);
    if (code !== 0) {
      assert.match(await refusal(...create("macvlan", ...on(vlan), "x")), /not supported/);
      t.diagnostic("this kernel has no VLANs");
      return;
    }
    execFileSync("ip", ["link", "del", "e2evl"]);
    await docker(...create("macvlan", ...on(vlan), "tagged"));
    assert.ok(await hasLink(vlan));
    await docker("network", "rm", "tagged");
    assert.ok(!(await hasLink(vlan)));
  });

  it("keep containers apart in mode private, and auxiliary addresses free", async () => {
    const aux = ["--aux-address", "a=10.232.2.2", "--aux-address", "b=10.232.2.4"];
    const subnet = ["--subnet", "10.232.2.0/24", ...aux];
    for (const [mode, received] of [
      ["bridge", true],
      ["private", false],
    ] as const) {
      await docker(...create("macvlan", ...on(parent, mode), ...subnet, "lan"));
      await sleeper("aft", "--network", "lan");
      await sleeper("bow", "--network", "lan");
      const addresses = [await addressOf("aft", "lan"), await addressOf("bow", "lan")];
      assert.deepEqual(addresses, ["10.232.2.3", "10.232.2.5"]);
      const patience = received ? "-W20" : "-W1";
      const ping = ["exec", "aft", "ping", "-c1", patience, "10.232.2.5"];
      assert.equal((await bed.engine.tryDocker(ping)).code === 0, received, mode);
      await docker("rm", "-f", "aft", "bow");
      await docker("network", "rm", "lan");
    }
  });

  it("name the kernel's refusal of an interface as a dockerd does", async (t) => {
    // Of its own: interfaces of ended containers may still be on the other.
    const alone = `${parent}a`;
    execFileSync("ip", ["link", "add", alone, "type", "bridge"]);
    t.after(() => execFileSync("ip", ["link", "del", alone]));
    // Only one interface may be on a parent in this mode.
    await docker(...create("macvlan", ...on(alone, "passthru"), "alone"));
    await sleeper("first", "--network", "alone");
    assert.match(
      await refusal("run", "--name", "late", "--network", "alone", "busybox", "true"),
      /^docker: Error response from daemon: failed to set up container networking: failed to create the macvlan port: invalid argument\n/,
    );
  });
});
