/** The addon's face to the kernel: filters, links, nftables, mounts and paths. Needs root. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { parseSeccomp, seccompFlags } from "../lib/index.ts";
import { added, failure, kernel, oPath, openFds, ownFolder, rejection } from "./addon-bed.ts";
import { holds } from "./shim-driver.ts";

const folder = ownFolder();

describe("seccomp", () => {
  it("compiles, refuses unknown words, and knows flags", async () => {
    const program = await kernel.compileSeccomp(parseSeccomp({ defaultAction: "SCMP_ACT_ALLOW" }));
    assert.ok(program.length > 0 && program.length % 8 === 0);
    assert.throws(() => parseSeccomp({ defaultAction: "SCMP_ACT_MAYBE" }), RangeError);
    assert.throws(
      () =>
        parseSeccomp({
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [
            { names: ["read"], action: "SCMP_ACT_KILL", args: [{ index: 0, value: 0, op: "=" }] },
          ],
        }),
      RangeError,
    );
    assert.equal(seccompFlags({ defaultAction: "" }), 4);
    assert.equal(
      seccompFlags({
        defaultAction: "",
        flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
      }),
      3,
    );
    assert.equal(seccompFlags({ defaultAction: "", flags: [] }), 0);
  });

  it("says what libseccomp refused", async () => {
    const error = await rejection(
      kernel.compileSeccomp(
        parseSeccomp({ defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_VAX"] }),
      ),
    );
    assert.deepEqual(
      [error.code, error.syscall, error.path, error.step],
      ["EINVAL", "seccomp_arch_add", "vax", "compile seccomp profile"],
    );
  });

  it("passes over calls that this libseccomp does not know", async () => {
    const calls = [{ names: ["no_such_call", "read"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }];
    assert.ok(
      (
        await kernel.compileSeccomp(
          parseSeccomp({ defaultAction: "SCMP_ACT_ALLOW", syscalls: calls }),
        )
      ).length > 0,
    );
  });
});

describe("links", () => {
  const bridge = `gtryt${String(process.pid % 100_000)}`;
  const base = `${bridge}b`;
  // Not every kernel has dummy links; a macvlan can be a port, too.
  const port = `${bridge}p`;

  after(async () => {
    for (const name of [port, base, bridge]) await kernel.deleteLink(name).catch(() => undefined);
  });

  const find = async (name: string) =>
    (await kernel.listLinks()).find((link) => link.name === name);

  it("makes a bridge with address, MTU and MAC, and a port on it", async () => {
    await kernel.createLink({
      kind: "bridge",
      name: bridge,
      mac: Buffer.from([2, 66, 1, 2, 3, 4]),
      mtu: 1400,
      multicastSnooping: false,
    });
    await kernel.createLink({ kind: "bridge", name: base });
    await kernel.createLink({ kind: "macvlan", name: port, parent: base, mode: 4 });
    await kernel.setLinkMaster(port, bridge);
    await kernel.setLinkMtu(port, 1300);
    await kernel.addAddress(bridge, "10.231.77.1/24");
    await kernel.addAddress(bridge, "fd31:77::1/64");
    const shown = execFileSync("ip", ["addr", "show", bridge], { encoding: "utf8" });
    assert.match(shown, /inet 10\.231\.77\.1\/24 brd 10\.231\.77\.255 scope global/);
    await kernel.setLinkUp(bridge, true);
    await kernel.setLinkUp(port, true);
    const made = await find(bridge);
    assert.deepEqual(
      [made?.kind, made?.mac, made?.mtu, made?.up],
      ["bridge", "02:42:01:02:03:04", 1400, true],
    );
    const cidrs = made?.addresses.map(({ cidr }) => cidr) ?? [];
    assert.ok(cidrs.includes("10.231.77.1/24") && cidrs.includes("fd31:77::1/64"));
    assert.equal((await find(port))?.master, made?.index);
    assert.ok(
      (await kernel.listRoutes()).some(
        (route) => route.destination === "10.231.77.0/24" && route.link === made?.index,
      ),
    );
  });

  it("undoes it again", async () => {
    await kernel.setLinkMaster(port, "");
    await kernel.removeAddress(bridge, "10.231.77.1/24");
    assert.equal((await find(port))?.master, 0);
    assert.ok(!(await find(bridge))?.addresses.some(({ cidr }) => cidr.startsWith("10.231")));
    await kernel.deleteLink(bridge);
    assert.equal(await find(bridge), undefined);
  });

  /** The command ip in a network namespace that is there as long as the test. */
  const otherNamespace = async () => {
    const other = spawn("unshare", ["-n", "sh", "-c", "ip link set lo up; echo; exec sleep 1000"]);
    await once(other.stdout, "data");
    const pid = Number(other.pid);
    return {
      pid,
      ip: (...args: string[]): string =>
        execFileSync("nsenter", ["-n", "-t", String(pid), "ip", ...args], {
          encoding: "utf8",
        }).trim(),
      [Symbol.dispose]: (): void => void other.kill("SIGKILL"),
    };
  };

  it("replaces default routes of another namespace, by a gateway or a link", async () => {
    using other = await otherNamespace();
    other.ip("addr", "add", "10.9.8.1/24", "dev", "lo");
    const none = { gateway: "", link: "" };
    for (const [way, route] of [
      [{ gateway: "10.9.8.7", link: "" }, "default via 10.9.8.7 dev lo"],
      [{ gateway: "", link: "lo" }, "default dev lo scope link"],
      [none, ""],
    ] as const) {
      await kernel.setDefaultRoutes(other.pid, way, none);
      assert.equal(other.ip("route", "show", "default"), route);
    }
  });

  it("attaches another namespace to a bridge, whose other ports hear who has the addresses", async () => {
    using other = await otherNamespace();
    using neighbour = await otherNamespace();
    await kernel.createLink({ kind: "bridge", name: bridge });
    await kernel.setLinkUp(bridge, true);
    const attach = async (pid: number, end: string, last: number): Promise<void> => {
      await kernel.attachInterface(pid, {
        kind: "veth",
        hostName: `${bridge}${end}`,
        name: "eth5",
        parent: bridge,
        mac: Buffer.from([2, 66, 1, 2, 3, last]),
        addresses: [`10.231.77.${String(last)}/24`, `fd31:77::${String(last)}/64`],
        mtu: 0,
        routes: [{ destination: "10.9.9.0/24", gateway: "10.231.77.1", metric: 0 }],
        sysctls: { "net/ipv4/conf/eth5/arp_notify": "1", "net/ipv6/conf/eth5/ndisc_notify": "1" },
        isolated: false,
      });
    };
    await attach(neighbour.pid, "n", 3);
    const known = ["10.231.77.2", "fd31:77::2"];
    for (let round = 0; round < 3; round += 1) {
      // Within a second of its last look at carriers the kernel leaves a new port enabled, and nothing can be lost.
      await setTimeout(1100);
      for (const address of known) {
        const entry = ["to", address, "lladdr", "02:42:09:09:09:09", "nud", "stale"];
        neighbour.ip("neigh", "replace", ...entry, "dev", "eth5");
      }
      await attach(other.pid, "o", 2);
      for (const address of known) {
        await holds(() =>
          neighbour.ip("neigh", "show", "to", address).includes("02:42:01:02:03:02"),
        );
      }
      assert.match(other.ip("route"), /10\.9\.9\.0\/24 via 10\.231\.77\.1 dev eth5/);
      await kernel.detachInterface(other.pid, "eth5", `${bridge}o`);
    }
    await kernel.deleteLink(bridge);
  });

  it("says what was refused", async () => {
    assert.equal((await rejection(kernel.deleteLink("gtrynone"))).code, "ENODEV");
    assert.equal((await rejection(kernel.addAddress(port, "10.0.0.1/33"))).code, "EINVAL");
    assert.equal((await rejection(kernel.addAddress(port, "ten"))).code, "EINVAL");
    const taken = await rejection(kernel.createLink({ kind: "bridge", name: port }));
    assert.deepEqual([taken.code, taken.step, taken.path], ["EEXIST", "create link", port]);
    assert.equal(
      (await rejection(kernel.removeAddress(port, "10.0.0.1/24"))).code,
      "EADDRNOTAVAIL",
    );
  });

  it("renames, with an alias or without one", async () => {
    await kernel.setLinkUp(port, false);
    await kernel.renameLink(port, `${bridge}q`, "on the quay");
    assert.equal((await find(`${bridge}q`))?.alias, "on the quay");
    assert.equal((await find(base))?.alias, "");
    await kernel.renameLink(`${bridge}q`, port, "");
    assert.equal((await find(port))?.alias, "on the quay");
    assert.equal((await rejection(kernel.renameLink(port, base, ""))).code, "EEXIST");
    await kernel.deleteLink(port);
  });
});

const nft = ["/usr/sbin/nft", "/sbin/nft"].find((file) => {
  try {
    return statSync(file).isFile();
  } catch {
    return false;
  }
});

describe("nftables", () => {
  it("tells of others' changes with the process that made them", {
    skip: nft === undefined && "no nft here",
  }, async () => {
    const changes = Promise.withResolvers<{ processName: string; generation: number }>();
    const watch = kernel.watchRuleset(changes.resolve);
    try {
      execFileSync(nft ?? "", ["add", "table", "ip", "gantry_addon_test"]);
      const change = await changes.promise;
      assert.equal(change.processName, "nft");
      assert.ok(change.generation > 0);
    } finally {
      watch.close();
      execFileSync(nft ?? "", ["delete", "table", "ip", "gantry_addon_test"]);
    }
  });

  it("is closed without a trace", () => {
    const before = openFds();
    kernel.watchRuleset(() => undefined).close();
    assert.deepEqual(added(before), []);
  });
});

describe("mounts", () => {
  const detach = 2;

  it("mounts an overlay of names with commas and colons", async () => {
    const place = path.join(folder.path, "overlay");
    const dirs = ["a,b", "c:d", "upper", "work", "target"].map((name) => path.join(place, name));
    for (const dir of dirs) mkdirSync(dir, { recursive: true });
    const [first = "", second = "", upperDir = "", workDir = "", target = ""] = dirs;
    writeFileSync(path.join(first, "x"), "first");
    writeFileSync(path.join(second, "x"), "second");
    writeFileSync(path.join(second, "y"), "second");
    await kernel.mountOverlay({ lowerDirs: [first, second], upperDir, workDir, target });
    assert.deepEqual(
      ["x", "y"].map((name) => readFileSync(path.join(target, name), "utf8")),
      ["first", "second"],
    );
    writeFileSync(path.join(target, "z"), "new");
    await kernel.unmount(target, detach);
    assert.equal(readFileSync(path.join(upperDir, "z"), "utf8"), "new");
    await kernel.mountOverlay({ lowerDirs: [first, second], target });
    assert.throws(
      () => {
        writeFileSync(path.join(target, "w"), "");
      },
      { code: "EROFS" },
    );
    await kernel.unmount(target, detach);
    assert.equal((await rejection(kernel.unmount(target, 0))).code, "EINVAL");
  });

  it("binds", async () => {
    const [source, target] = [
      path.join(folder.path, "bind-source"),
      path.join(folder.path, "bind-target"),
    ];
    mkdirSync(source);
    mkdirSync(target);
    writeFileSync(path.join(source, "f"), "here");
    await kernel.mount({ source, target, flags: 4096n });
    assert.equal(readFileSync(path.join(target, "f"), "utf8"), "here");
    await kernel.unmount(target, detach);
  });
});

describe("paths", () => {
  it("keeps every symlink inside the root", () => {
    const root = path.join(folder.path, "jail");
    mkdirSync(path.join(root, "etc"), { recursive: true });
    writeFileSync(path.join(root, "etc/passwd"), "inside");
    symlinkSync("/etc", path.join(root, "absolute"));
    symlinkSync("../../../../etc", path.join(root, "up"));
    symlinkSync("/proc/self/fd", path.join(root, "magic"));
    const rootFd = openSync(root, "r");
    for (const name of ["absolute/passwd", "up/passwd", "../../etc/passwd"]) {
      const fd = kernel.openInRoot(rootFd, name, 0, 0);
      assert.equal(readFileSync(fd, "utf8"), "inside");
      kernel.closeFd(fd);
    }
    assert.equal(failure(() => kernel.openInRoot(rootFd, "magic/0", oPath, 0)).code, "ENOENT");
    closeSync(rootFd);
  });

  it("reads and writes extended attributes of links' own", () => {
    const file = path.join(folder.path, "attributes");
    writeFileSync(file, "");
    kernel.setXattr(file, "trusted.overlay.opaque", Buffer.from("y"));
    kernel.setXattr(file, "user.large", Buffer.alloc(2_000, 7));
    assert.equal(kernel.getXattr(file, "trusted.overlay.opaque")?.toString(), "y");
    assert.equal(kernel.getXattr(file, "user.large")?.length, 2_000);
    assert.equal(kernel.getXattr(file, "user.none"), undefined);
    assert.deepEqual(kernel.listXattrs(file).toSorted(), ["trusted.overlay.opaque", "user.large"]);
    assert.equal(failure(() => kernel.getXattr("/nowhere", "user.x")).code, "ENOENT");
  });

  it("makes device nodes", () => {
    const node = path.join(folder.path, "whiteout");
    kernel.makeNode(node, 0o020000, 0, 0);
    assert.ok(statSync(node).isCharacterDevice());
  });
});
