/** Network interfaces of a container. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { cgroups } from "./shim-cgroup-dirs.ts";
import { holds, kernel, Playground } from "./shim-driver.ts";
import { ms, type PlanInit, processOf } from "./shim-plan.ts";

const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });
const interfaceName = `gtryt${process.pid % 100000}`;
const logged = (playground: Playground): string =>
  playground
    .log()
    .map((record) => record.log)
    .join("");

describe("network interfaces", () => {
  const bridge = `${interfaceName}b`;
  const host = `${interfaceName}h`;
  const withBridge = async (use: (playground: Playground) => Promise<void>): Promise<void> => {
    await using playground = await Playground.make();
    await kernel.createLink({ kind: "bridge", name: bridge, mtu: 1400 });
    try {
      await kernel.addAddress(bridge, "10.213.7.1/24");
      await kernel.setLinkUp(bridge, true);
      await use(playground);
    } finally {
      await kernel.deleteLink(bridge);
    }
  };
  const veth = {
    kind: "veth",
    hostName: host,
    name: "eth0",
    parent: bridge,
    mac: new Uint8Array([2, 0x42, 10, 213, 7, 2]),
    addresses: ["10.213.7.2/24", "fd00:77::2/64"],
    routes: [{ destination: "0.0.0.0/0", gateway: "10.213.7.1" }],
    sysctls: { "net/ipv4/conf/eth0/arp_notify": "1" },
  };

  it("join the container to a bridge", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh(
          "ip addr show eth0; ip addr show lo; ip route; cat /proc/sys/net/ipv4/conf/eth0/arp_notify; echo x | nc -w 1 10.213.7.1 1; sleep 100",
        ),
        interfaces: [{ ...veth, isolated: true }],
      });
      await shim.message("started");
      await holds(() => logged(playground).includes("default via"));
      const text = logged(playground);
      assert.match(text, /eth0@.*<BROADCAST,MULTICAST,UP,LOWER_UP/);
      assert.match(text, /mtu 1400/);
      assert.match(text, /link\/ether 02:42:0a:d5:07:02/);
      assert.match(text, /inet 10\.213\.7\.2\/24 brd 10\.213\.7\.255/);
      assert.match(text, /inet6 fd00:77::2\/64/);
      assert.match(text, /inet 127\.0\.0\.1\/8/);
      assert.match(text, /default via 10\.213\.7\.1 dev eth0/);
      const link = (await kernel.listLinks()).find((found) => found.name === host);
      const master = (await kernel.listLinks()).find((found) => found.name === bridge);
      assert.equal(link?.master, master?.index);
      assert.ok(link?.up);
      assert.equal(readFileSync(`/sys/class/net/${host}/brport/isolated`, "utf8"), "1\n");
    });
  });

  it("answer on the network", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh("exec 2>&1; busybox nc -l -p 7 -e cat"),
        interfaces: [veth],
      });
      await shim.message("started");
      const reply = await new Promise<string>((resolve, reject) => {
        const attempt = (left: number): void => {
          const socket = connect(7, "10.213.7.2");
          socket.on("connect", () => socket.write("hello"));
          socket.on("data", (data) => {
            resolve(data.toString());
            socket.destroy();
          });
          socket.on("error", (error) => {
            if (left === 0) reject(error);
            else setTimeout(() => attempt(left - 1), 20);
          });
        };
        attempt(50);
      });
      assert.equal(reply, "hello");
    });
  });

  it("are gone after a failed start", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({ process: processOf(["nope"]), interfaces: [veth] });
      await shim.message("startFailed");
      await shim.exitOfProcess();
      assert.equal(
        (await kernel.listLinks()).find((found) => found.name === host),
        undefined,
      );
    });
  });

  it("do not hide why the container's own part failed", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh("true"),
        cgroup: cgroups(),
        mounts: [{ destination: "/x", type: "bind", source: "/no/such/source", flags: ms.bind }],
        interfaces: [veth],
      });
      assert.equal((await shim.message("startFailed")).step, "mount");
    });
  });

  it("name a bridge that is missing", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("true"),
      interfaces: [{ ...veth, parent: "gtrynone" }],
    });
    const failed = await shim.message("startFailed");
    assert.deepEqual([failed.step, failed.subject, failed.errnoValue], ["network", "eth0", 19]);
  });

  it("may be of kind macvlan", async (t) => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh("ip -d link show eth0; ip addr show eth0"),
        interfaces: [
          {
            kind: "macvlan",
            name: "eth0",
            parent: bridge,
            mode: "bridge",
            addresses: ["10.213.7.9/24"],
          },
        ],
      });
      const failed = shim.message("startFailed");
      failed.catch(() => undefined);
      const ended = await Promise.race([shim.message("exited"), failed]);
      if ("errnoValue" in ended && ended.errnoValue === 95) {
        t.skip("this kernel has no macvlan");
        return;
      }
      assert.match(logged(playground), /10\.213\.7\.9/);
    });
  });
});
