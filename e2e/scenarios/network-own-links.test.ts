/** Interfaces that programs of a container make for themselves, under names that the engine would give. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { useNetworkBed } from "../src/network-bed.ts";

const bed = useNetworkBed();
const { docker, refusal, sleeper } = bed;
const parent = `e2eo${String(process.pid)}`;

async function links(container: string): Promise<string[]> {
  const shown = await docker("exec", container, "ls", "/sys/class/net");
  return shown.split(/\s+/).filter((name) => name !== "lo");
}

async function networksOf(container: string): Promise<string> {
  const format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
  return (await docker("inspect", "-f", format, container)).trim();
}

const inside = (script: string): Promise<string> => docker("exec", "own", "sh", "-ec", script);

describe("an interface of a program's own", () => {
  before(() => {
    execFileSync("ip", ["link", "add", parent, "type", "bridge"]);
    execFileSync("ip", ["link", "set", parent, "up"]);
  });
  after(() => {
    execFileSync("ip", ["link", "del", parent]);
  });

  for (const driver of ["bridge", "macvlan"]) {
    const create = (): Promise<string> =>
      docker(
        ...["network", "create", "-d", driver],
        ...(driver === "macvlan" ? ["-o", `parent=${parent}`] : []),
        "quay",
      );

    it(`refuses a connect that needs its name, and stays (${driver})`, async () => {
      await create();
      await sleeper("own", "--cap-add", "NET_ADMIN");
      await inside("ip link add eth1 type bridge");
      const state = bed.kernelState();
      assert.match(
        await refusal("network", "connect", "quay", "own"),
        /^Error response from daemon: failed to add interface (\S+) to sandbox: error renaming interface "(?:\1)?" to "eth1": file exists$/,
      );
      assert.deepEqual(await links("own"), ["eth0", "eth1"]);
      assert.equal(await networksOf("own"), "bridge");
      assert.deepEqual(bed.kernelState(), state);
      await inside("ip link del eth1");
      await docker("network", "connect", "quay", "own");
      assert.deepEqual(await links("own"), ["eth0", "eth1"]);
    });

    it(`stays when a network is left whose interface had its name before (${driver})`, async () => {
      await create();
      await sleeper("own", "--cap-add", "NET_ADMIN");
      await docker("network", "connect", "quay", "own");
      await inside("ip link del eth1; ip link add eth1 type bridge");
      await docker("network", "disconnect", "quay", "own");
      assert.deepEqual(await links("own"), ["eth0", "eth1"]);
    });
  }

  it("is not taken for the engine's, which goes by whatever name it has got", async () => {
    await docker("network", "create", "quay");
    await sleeper("own", "--cap-add", "NET_ADMIN");
    const state = bed.kernelState();
    await docker("network", "connect", "quay", "own");
    await inside("ip link set eth1 down; ip link set eth1 name sea; ip link add eth1 type bridge");
    await docker("network", "disconnect", "quay", "own");
    assert.deepEqual(await links("own"), ["eth0", "eth1"]);
    assert.deepEqual(bed.kernelState(), state);
  });
});
