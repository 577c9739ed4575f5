/** The addon's face to the kernel, unit by unit. Needs root. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { connect, createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import {
  type ChildExit,
  type Kernel,
  type KernelError,
  loadKernel,
  parseSeccomp,
  seccompFlags,
} from "../lib/index.ts";

const kernel: Kernel = loadKernel();
const sigkill = 9;
const oPath = 0o10000000;
let folder: string;

before(() => {
  folder = mkdtempSync(path.join(tmpdir(), "gantry-addon-"));
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

function failure(act: () => unknown): KernelError {
  try {
    act();
  } catch (error) {
    return error as KernelError;
  }
  throw new assert.AssertionError({ message: "did not fail" });
}

async function rejection(promise: Promise<unknown>): Promise<KernelError> {
  try {
    await promise;
  } catch (error) {
    return error as KernelError;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}

/** What every descriptor is; others than ours may close meanwhile, but none may be added. */
function openFds(): Set<string> {
  const names = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });
  return new Set(names);
}

const added = (before: Set<string>): string[] => [...openFds().difference(before)];

/** Runs a program with its output in a memfd. */
async function run(
  program: string,
  argv: string[],
  env: string[] = [],
): Promise<{ exit: ChildExit | undefined; output: string }> {
  const executable = kernel.sealExecutable(program);
  const output = kernel.memfd("output", new Uint8Array(), false);
  try {
    const { pidfd } = kernel.launch({
      executable,
      argv,
      env,
      fds: [
        [1, output],
        [2, output],
      ],
    });
    const exit = await new Promise<ChildExit | undefined>((resolve) =>
      kernel.watchPidfd(pidfd, resolve),
    );
    kernel.closeFd(pidfd);
    const buffer = Buffer.alloc(fstatSync(output).size);
    readSync(output, buffer, 0, buffer.length, 0);
    return { exit, output: buffer.toString() };
  } finally {
    kernel.closeFd(executable);
    kernel.closeFd(output);
  }
}

describe("launch", () => {
  it("executes a sealed copy with arguments and environment, and tells how it ended", async () => {
    assert.deepEqual(await run("/bin/sh", ["sh", "-c", 'echo "$0 $A"; exit 3', "zero"], ["A=b"]), {
      exit: { exitCode: 3 },
      output: "zero b\n",
    });
  });

  it("executes the program also where one of the child's descriptors has its number", async () => {
    const executable = kernel.sealExecutable("/bin/true");
    const output = kernel.memfd("output", new Uint8Array(), false);
    try {
      const fds = [executable, output].map((fd): [number, number] => [fd, output]);
      const { pidfd } = kernel.launch({ executable, argv: ["true"], env: [], fds });
      const exit = await new Promise((resolve) => kernel.watchPidfd(pidfd, resolve));
      kernel.closeFd(pidfd);
      assert.deepEqual(exit, { exitCode: 0 });
    } finally {
      kernel.closeFd(executable);
      kernel.closeFd(output);
    }
  });

  it("gives the child its descriptors, /dev/null, and nothing else", async () => {
    const { output } = await run("/bin/ls", ["ls", "-l", "/proc/self/fd"]);
    const targets = output
      .split("\n")
      .flatMap((line) => / (\d+) -> (.*)$/.exec(line)?.slice(1, 3).join(" ") ?? []);
    assert.equal(targets[0], "0 /dev/null");
    assert.match(targets[1] ?? "", /^1 \/memfd:output/);
    assert.match(targets[2] ?? "", /^2 \/memfd:output/);
    assert.match(targets[3] ?? "", /^3 \/proc\//);
    assert.equal(targets.length, 4);
  });

  it("maps descriptors that cross each other", async () => {
    const [first, second] = [
      kernel.memfd("first", Buffer.from("1"), false),
      kernel.memfd("second", Buffer.from("2"), false),
    ];
    const executable = kernel.sealExecutable("/bin/sh");
    const output = kernel.memfd("output", new Uint8Array(), false);
    const { pidfd } = kernel.launch({
      executable,
      argv: [
        "sh",
        "-c",
        'cat "/proc/self/fd/$1" "/proc/self/fd/$2"',
        "sh",
        String(second),
        String(first),
      ],
      env: ["PATH=/bin:/usr/bin"],
      fds: [
        [first, second],
        [second, first],
        [1, output],
      ],
    });
    await new Promise((resolve) => kernel.watchPidfd(pidfd, resolve));
    const buffer = Buffer.alloc(2);
    readSync(output, buffer, 0, 2, 0);
    assert.equal(buffer.toString(), "12");
    for (const fd of [first, second, executable, output, pidfd]) kernel.closeFd(fd);
  });

  it("leaves no signal blocked or handled in the child", async () => {
    const { output } = await run("/bin/grep", [
      "grep",
      "-E",
      "^Sig(Blk|Cgt|Ign)",
      "/proc/self/status",
    ]);
    assert.match(output, /SigBlk:\t0+\nSigIgn:\t0+\n/);
  });

  it("says which step failed, and leaves no child and no descriptor", () => {
    const executable = kernel.sealExecutable("/bin/true");
    const before = openFds();
    const error = failure(() =>
      kernel.launch({ executable, argv: ["true"], env: [], fds: [], cwd: "/nowhere" }),
    );
    assert.deepEqual(
      [error.code, error.errno, error.syscall, error.step],
      ["ENOENT", 2, "chdir", "launch"],
    );
    assert.deepEqual(added(before), []);
    kernel.closeFd(executable);
  });

  it("refuses what is no program", () => {
    const text = kernel.memfd("text", Buffer.from("nothing"), true);
    const error = failure(() => kernel.launch({ executable: text, argv: ["x"], env: [], fds: [] }));
    assert.equal(error.syscall, "execve");
    kernel.closeFd(text);
    assert.equal(failure(() => kernel.sealExecutable("/nowhere")).code, "ENOENT");
  });

  it("makes programs that nobody can write", () => {
    const fd = kernel.sealExecutable("/bin/true");
    const writable = openSync(`/proc/self/fd/${String(fd)}`, "r+");
    assert.throws(() => writeSync(writable, "x"), { code: "EPERM" });
    assert.throws(
      () => {
        ftruncateSync(writable);
      },
      { code: "EPERM" },
    );
    closeSync(writable);
    kernel.closeFd(fd);
  });
});

describe("pidfds", () => {
  it("signal the process that they were opened for", async () => {
    const child = spawn("/bin/sleep", ["100"]);
    const pid = child.pid ?? 0;
    const pidfd = kernel.pidfdOpen(pid);
    assert.ok((kernel.processStartTicks(pid) ?? 0n) > 0n);
    kernel.pidfdSendSignal(pidfd, sigkill);
    await once(child, "exit");
    assert.equal(kernel.processStartTicks(pid), undefined);
    assert.equal(
      failure(() => {
        kernel.pidfdSendSignal(pidfd, 0);
      }).code,
      "ESRCH",
    );
    kernel.closeFd(pidfd);
    assert.equal(failure(() => kernel.pidfdOpen(pid)).code, "ESRCH");
  });

  it("are watched until closed, which may happen twice", () => {
    const pidfd = kernel.pidfdOpen(process.pid);
    const before = openFds();
    const watch = kernel.watchPidfd(pidfd, () => assert.fail("we have not ended"));
    watch.close();
    watch.close();
    assert.deepEqual(added(before), []);
    kernel.closeFd(pidfd);
  });
});

describe("a watch for hang-up", () => {
  it("tells a peer that is gone from one that has only ended its writing", async () => {
    const path_ = path.join(folder, "hangup.sock");
    const server = createServer({ allowHalfOpen: true }).listen(path_);
    await once(server, "listening");
    const client = connect({ path: path_, allowHalfOpen: true });
    const [peer] = (await once(server, "connection")) as [Socket];
    const { fd } = (peer as unknown as { _handle: { fd: number } })._handle;
    const before = openFds();
    let gone = false;
    const hangup = Promise.withResolvers<undefined>();
    kernel.watchHangup(fd, () => {
      gone = true;
      hangup.resolve(undefined);
    });
    client.end();
    peer.resume();
    await once(peer, "end");
    peer.write("still here");
    await once(client, "data");
    assert.equal(gone, false);
    client.destroy();
    await hangup.promise;
    assert.deepEqual(added(before), []);
    peer.destroy();
    server.close();
  });
});

describe("descriptors", () => {
  it("listens with the given rights, also below a path of more than 108 bytes", async () => {
    const deep = path.join(folder, "d".repeat(120));
    mkdirSync(deep);
    const socketPath = path.join(deep, "s.sock");
    const listener = kernel.listenUnix(socketPath, 0o600, 4);
    assert.equal(statSync(socketPath).mode & 0o777, 0o600);
    const again = kernel.listenUnix(socketPath, 0o660, 4);
    assert.equal(statSync(socketPath).mode & 0o777, 0o660);
    kernel.closeFd(listener);
    const client = connect(`/proc/self/fd/${String(openSync(deep, "r"))}/s.sock`);
    await once(client, "connect");
    client.destroy();
    kernel.closeFd(again);
  });

  it("makes socket pairs that node:net can own", async () => {
    const [a, b] = kernel.socketpair();
    const [left, right] = [
      new Socket({ fd: a, readable: true, writable: true }),
      new Socket({ fd: b, readable: true, writable: true }),
    ];
    left.write("x");
    const [chunk] = (await once(right, "data")) as [Buffer];
    assert.equal(chunk.toString(), "x");
    left.destroy();
    right.destroy();
  });

  it("makes sealed memory files", () => {
    const fd = kernel.memfd("m", Buffer.from("abc"), true);
    const buffer = Buffer.alloc(3);
    readSync(fd, buffer, 0, 3, null);
    assert.equal(buffer.toString(), "abc");
    assert.throws(() => writeSync(fd, "x", 0), { code: "EPERM" });
    kernel.closeFd(fd);
    assert.equal(
      failure(() => {
        kernel.closeFd(fd);
      }).code,
      "EBADF",
    );
  });
});

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

  it("renames", async () => {
    await kernel.setLinkUp(port, false);
    await kernel.renameLink(port, `${bridge}q`);
    assert.ok((await find(`${bridge}q`)) !== undefined);
    await kernel.deleteLink(`${bridge}q`);
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
    const place = path.join(folder, "overlay");
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
    const [source, target] = [path.join(folder, "bind-source"), path.join(folder, "bind-target")];
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
    const root = path.join(folder, "jail");
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
    const file = path.join(folder, "attributes");
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
    const node = path.join(folder, "whiteout");
    kernel.makeNode(node, 0o020000, 0, 0);
    assert.ok(statSync(node).isCharacterDevice());
  });
});
