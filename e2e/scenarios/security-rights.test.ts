/**
 * Attacks of containers on what they may do, by the classes that other engines had faults of (S1 to S25 in
 * the names). What holds the attack off is read from the kernel or from what the attacker got.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { TestEngine } from "@gantry/testkit/test-engine";
import { buildAttacker } from "../src/attacker.ts";
import { lines, loadImage, sh } from "../src/hostile-container.ts";

let engine: TestEngine;
let attacker: readonly string[];
before(async () => {
  engine = await TestEngine.start();
  attacker = ["-v", `${await buildAttacker()}:/attacker:ro`];
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

describe("S13: users", () => {
  const identity = ["sh", "-c", "grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status"];

  it("that are no users are refused, never made root", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    for (const user of [
      "4294967296",
      "-1",
      "2147483648",
      "99999999999999999999",
      "0x0",
      "1:-1",
      "1:4294967296",
      "nobody:nogroup-here",
      "1:2:3",
      " ",
      "root\n",
      "01x",
    ]) {
      for (const command of [
        ["run", "--rm", "-u", user, "busybox"],
        ["exec", "-u", user, id],
      ]) {
        const ran = await engine.tryDocker([...command, ...identity]);
        assert.notEqual(ran.code, 0, `${JSON.stringify(user)}: ${ran.stdout}`);
        assert.equal(ran.stdout.includes("Uid:"), false, user);
      }
    }
    await engine.docker(["rm", "-f", id]);
  });

  it("of a hostile passwd file are not root, and the file holds nothing up", async () => {
    const passwd =
      "root:x:0:0:root:/root:/bin/sh\nbig:x:4294967296:4294967296::/:/bin/sh\nneg:x:-1:0::/:/bin/sh\nhex:x:0x0:0::/:/bin/sh\nempty:x:::::\n";
    await loadImage(engine, "users", [
      { header: { name: "etc/passwd", mode: 0o644 }, content: passwd },
      {
        header: { name: "etc/group", mode: 0o644 },
        content: "root:x:0:\nbig:x:4294967296:\nmany:x:7:big\n",
      },
    ]);
    for (const user of ["big", "neg", "hex", "empty", "1:big"]) {
      const ran = await engine.tryDocker(["run", "--rm", "-u", user, "users", ...identity]);
      assert.notEqual(ran.code, 0, `${user}: ${ran.stdout}`);
      const add = await engine.tryDocker([
        "run",
        "--rm",
        "--group-add",
        "big",
        "users",
        ...identity,
      ]);
      assert.notEqual(add.code, 0, add.stdout);
    }
    await loadImage(engine, "fifo", [
      { header: { name: "etc/passwd", type: "fifo", mode: 0o644 } },
    ]);
    const fifo = await engine.tryDocker(["run", "--rm", "-u", "someone", "fifo", ...identity], {
      timeoutMs: 30_000,
    });
    assert.notEqual(fifo.code, 0);
    await loadImage(engine, "outside", [
      { header: { name: "etc/passwd", type: "symlink", linkname: "../../../../etc/passwd" } },
    ]);
    const outside = await engine.tryDocker(["run", "--rm", "-u", "daemon", "outside", ...identity]);
    assert.notEqual(outside.code, 0, "the host's passwd was read");
    await engine.docker(["rmi", "users", "fifo", "outside"]);
  });

  it("that are not root have no capability, and nobody an inheritable or ambient one", async () => {
    const capabilities = async (...options: string[]): Promise<Record<string, string>> =>
      Object.fromEntries(
        lines(await engine.docker(["run", "--rm", ...options, "busybox", ...identity])).map(
          (line) => {
            const [name = "", value = ""] = line.split(":");
            return [name, value.trim()];
          },
        ),
      );
    const user = await capabilities("-u", "1000:1000", "--cap-add", "NET_ADMIN");
    assert.deepEqual(
      [user["CapInh"], user["CapPrm"], user["CapEff"], user["CapAmb"]],
      Array(4).fill("0".repeat(16)),
    );
    assert.equal(user["Groups"], "1000");
    const root = await capabilities();
    assert.equal(root["CapInh"], "0".repeat(16));
    assert.equal(root["CapAmb"], "0".repeat(16));
    assert.equal(root["CapEff"], "00000000a80425fb");
    assert.equal(root["CapBnd"], "00000000a80425fb");
  });
});

describe("S20: system calls", () => {
  it("of the families AF_ALG and AF_VSOCK are refused, by the 32-bit way, too", async () => {
    const seen = await engine.docker([
      "run",
      "--rm",
      "-u",
      "1000",
      ...attacker,
      "busybox",
      "/attacker",
      "families",
    ]);
    assert.equal(lines(seen).length, 5);
    for (const line of lines(seen)) assert.match(line, / (EPERM|EACCES|ENOSYS)$/);
  });

  it("that the default profile does not list are refused, to root as well", async () => {
    const seen = await engine.docker(["run", "--rm", ...attacker, "busybox", "/attacker", "calls"]);
    assert.ok(lines(seen).length > 25);
    for (const line of lines(seen)) assert.match(line, / (EPERM|ENOSYS)$/);
  });

  it("that the user's profile refuses are refused, to a privileged container as well", async () => {
    await using folder = await openTempDir("gantry-profile-");
    const file = path.join(folder.path, "profile.json");
    const profile = ["--security-opt", `seccomp=${file}`];
    const names = ["chown", "chown32", "fchownat", "no_such_call"];
    const errno = { names, action: "SCMP_ACT_ERRNO" };
    const rules = async (...syscalls: object[]): Promise<void> => {
      await writeFile(file, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls }));
    };
    const change = ["busybox", "chown", "42", "/bin/true"];
    const ran = async (...options: string[]): Promise<string> => {
      const { code, stderr } = await engine.tryDocker(["run", "--rm", ...options, ...change]);
      return code === 0 ? "done" : stderr;
    };
    const refused = /Operation not permitted/;
    await rules(errno);
    for (const rights of [[], ["--privileged"], ["--cap-add", "ALL"]]) {
      assert.equal(await ran(...rights), "done");
      assert.match(await ran(...rights, ...profile), refused);
      const id = await engine.docker([
        ...["run", "-d", ...rights, ...profile, "busybox", "sleep", "1000"],
      ]);
      for (const own of [[], ["--privileged"]]) {
        const late = await engine.tryDocker(["exec", ...own, id, ...change.slice(1)]);
        assert.match(late.stderr, refused, [...rights, ...own].join(" "));
      }
      await engine.docker(["rm", "-f", id]);
    }
    await rules({ ...errno, excludes: { caps: ["CAP_SYS_ADMIN"] } });
    assert.match(await ran(...profile), refused);
    assert.equal(await ran("--cap-add", "SYS_ADMIN", ...profile), "done");
    await rules({ ...errno, includes: { caps: ["CAP_SYS_ADMIN"] } });
    assert.equal(await ran(...profile), "done");
    assert.match(await ran("--privileged", ...profile), refused);
    await rules({ ...errno, action: "SCMP_ACT_NONE" });
    assert.notEqual(await ran(...profile), "done");
  });

  it("can gain no privilege with no-new-privileges", async () => {
    const program = readFileSync(await buildAttacker());
    await loadImage(engine, "suid", [{ header: { name: "suid", mode: 0o4755 }, content: program }]);
    const id4 = ["-u", "65534", "suid", "/suid", "uid"];
    assert.equal(await engine.docker(["run", "--rm", ...id4]), "0", "the program does its work");
    assert.equal(
      await engine.docker(["run", "--rm", "--security-opt", "no-new-privileges", ...id4]),
      "65534",
    );
    await engine.docker(["rmi", "suid"]);
    const id = await engine.docker([
      "run",
      "-d",
      "--security-opt",
      "no-new-privileges",
      "busybox",
      "sleep",
      "1000",
    ]);
    const status = await engine.docker(["exec", id, "grep", "NoNewPrivs", "/proc/self/status"]);
    assert.match(status, /1$/);
    const seccomp = await engine.docker(["exec", id, "grep", "^Seccomp:", "/proc/self/status"]);
    assert.match(seccomp, /2$/);
    await engine.docker(["rm", "-f", id]);
  });

  it("cannot type into the terminal of who started the container", async () => {
    // Without a terminal of its own there is none to type into.
    const none = await engine.docker([
      "run",
      "--rm",
      "-i",
      ...attacker,
      "busybox",
      "/attacker",
      "inject",
    ]);
    assert.match(none, /TIOCSTI (ENXIO|ENOTTY|EIO|EPERM|EBADF)/);
  });

  it("reach no keyring but the container's own", async () => {
    const open = [
      "--security-opt",
      "seccomp=unconfined",
      "--security-opt",
      "systempaths=unconfined",
    ];
    const serial = (): Promise<string> =>
      engine.docker(["run", "--rm", ...open, ...attacker, "busybox", "/attacker", "keyring"]);
    // Looked up before: the kernel takes a moment to forget the keyring of a container that is gone.
    const host = lines(readFileSync("/proc/keys", "utf8")).map((line) => line.split(" ")[0]);
    const [one, other] = [await serial(), await serial()];
    assert.match(one, /^[0-9a-f]{8}$/);
    assert.notEqual(one, other);
    assert.ok(!host.includes(one) && !host.includes(other));
  });
});

describe("devices", () => {
  it("of the host cannot be made and opened", async () => {
    const disk =
      readFileSync("/proc/partitions", "utf8").trim().split("\n").at(-1)?.trim().split(/\s+/) ?? [];
    const script = `mknod /tmp/disk b ${disk[0] ?? "8"} ${disk[1] ?? "0"}; mknod /tmp/mem c 1 1; mknod /tmp/fuse c 10 229; mknod /tmp/tun c 10 200
      for d in disk mem fuse tun; do head -c1 /tmp/$d >/dev/null 2>&1 && echo $d; (: > /tmp/$d) 2>/dev/null && echo writable $d; done; true`;
    assert.equal(await engine.docker(["run", "--rm", ...sh(script)]), "");
    assert.equal(await engine.docker(["run", "--rm", "--cap-add", "ALL", ...sh(script)]), "");
  });

  it("stay closed to execs, privileged ones as well", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const script = "mknod /tmp/mem c 1 1; head -c1 /tmp/mem >/dev/null 2>&1 && echo open; true";
    assert.equal(await engine.docker(["exec", "--privileged", id, "sh", "-c", script]), "");
    await engine.docker(["rm", "-f", id]);
  });
});

describe("joining", () => {
  it("a container whose /proc was covered by its own root still is no way out", async () => {
    const id = await engine.docker([
      ...["run", "-d", "--privileged"],
      ...sh(
        "mount -t tmpfs none /proc; mkdir -p /proc/self/fd /proc/self/attr /proc/1; exec sleep 1000",
      ),
    ]);
    const ran = await engine.tryDocker([
      "exec",
      id,
      "sh",
      "-c",
      "ls -d /etc/passwd; cat /etc/hostname",
    ]);
    if (ran.code === 0) assert.match(ran.stdout, new RegExp(id.slice(0, 12)));
    assert.equal(existsSync("/proc/self/attr/current"), true);
    await engine.docker(["rm", "-f", id]);
  });
});
