/** The addon's face to the kernel: programs, pidfds, sockets and descriptors. Needs root. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { connect, createServer, Socket } from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { added, failure, kernel, openFds, ownFolder, run, sigkill } from "./addon-bed.ts";

const folder = ownFolder();

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
    const path_ = path.join(folder.path, "hangup.sock");
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
    const deep = path.join(folder.path, "d".repeat(120));
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
