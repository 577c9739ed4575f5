/**
 * Attacks on files of containers and the engine, from inside and by hostile images, by the classes that other engines had faults of (S1 to S25 in
 * the names). What holds the attack off is read from the kernel or from what the attacker got.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { eventually } from "@gantry/testkit";
import { repository, TestEngine } from "@gantry/testkit/test-engine";
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

const mountsOfHost = (): string =>
  lines(readFileSync("/proc/self/mountinfo", "utf8"))
    .map((line) => line.split(" ")[4] ?? "")
    // Other engines of this machine have theirs below /tmp.
    .filter((target) => !target.startsWith("/tmp/") && !target.startsWith("/run/netns"))
    .toSorted()
    .join("\n");

describe("S1: descriptors", () => {
  // One more is the program's own, for the folder that it lists.
  const list = "ls /proc/self/fd";

  it("of the engine are not in a container's first process, with or without a terminal", async () => {
    const open = lines(await engine.docker(["run", "--rm", ...sh(list)]));
    assert.deepEqual(open.slice(0, 3), ["0", "1", "2"]);
    assert.ok(open.length <= 4, open.join());
    const tty = lines(
      (await engine.docker(["run", "--rm", "-t", ...sh(list)])).replaceAll("\r", ""),
    );
    assert.ok(tty.length <= 4, tty.join());
  });

  it("of the engine are not in execs, nor in health checks", async () => {
    const id = await engine.docker([
      ...["run", "-d", "--health-cmd", `${list} > /tmp/fds`, "--health-interval", "100ms"],
      ...["busybox", "sleep", "1000"],
    ]);
    assert.ok(lines(await engine.docker(["exec", id, "sh", "-c", list])).length <= 4);
    assert.ok(lines(await engine.docker(["exec", "-t", id, "sh", "-c", list])).length <= 4);
    const open = await eventually(async () => {
      const seen = await engine.tryDocker(["exec", id, "cat", "/tmp/fds"]);
      return seen.stdout === "" ? undefined : lines(seen.stdout);
    });
    assert.ok(open.length <= 4, open.join());
    await engine.docker(["rm", "-f", id]);
  });

  it("cannot be a working directory, neither named nor behind a link", async () => {
    await loadImage(engine, "cwd", [
      { header: { name: "link7", type: "symlink", linkname: "/proc/self/fd/7" } },
      { header: { name: "link8", type: "symlink", linkname: "/proc/self/fd/8/../../.." } },
    ]);
    const id = await engine.docker(["run", "-d", "cwd", "sleep", "1000"]);
    const folders = Array.from({ length: 24 }, (_, fd) => `/proc/self/fd/${String(fd)}`);
    for (const folder of [...folders, "/proc/1/root", "/proc/self/cwd", "/link7", "/link8"]) {
      for (const command of [
        ["run", "--rm", "-w", folder, "cwd"],
        ["exec", "-w", folder, id],
      ]) {
        // Whatever comes out, the host's root must not be seen: it has the engine's folder.
        const names = [`.${engine.root}`, `..${engine.root}`];
        const seen = await engine.tryDocker([...command, "ls", "-d", ...names]);
        assert.notEqual(seen.code, 0, `${command.join(" ")}: ${seen.stdout}`);
        assert.ok(!seen.stdout.includes(engine.root), command.join(" "));
      }
    }
    await engine.docker(["rm", "-f", id]);
    await engine.docker(["rmi", "cwd"]);
  });
});

describe("S2: the engine's program", () => {
  it("cannot be written by a container that waits for its execs", async () => {
    const shim = path.join(repository, "native/build/shim");
    const digest = (): string => createHash("sha256").update(readFileSync(shim)).digest("hex");
    const before = digest();
    await loadImage(engine, "evil", [
      { header: { name: "evil", mode: 0o755 }, content: "#!/proc/self/exe\n" },
      { header: { name: "evil-link", type: "symlink", linkname: "/proc/self/exe" } },
    ]);
    const id = await engine.docker(["run", "-d", ...attacker, "evil", "/attacker", "overwrite"]);
    for (let round = 0; round < 15; round += 1) {
      await engine.tryDocker(["exec", id, "/evil"]);
      await engine.tryDocker(["exec", id, "/evil-link"]);
      await engine.tryDocker(["exec", id, "/bin/sh", "-c", "true"]);
    }
    const caught = await engine.docker(["logs", id]);
    assert.doesNotMatch(caught, /WRITABLE/);
    assert.match(caught, /hunting/);
    await engine.docker(["rm", "-f", id]);
    for (const program of ["/evil", "/evil-link"])
      await engine.tryDocker(["run", "--rm", "evil", program]);
    assert.equal(digest(), before);
    await engine.docker(["rmi", "evil"]);
  });
});

describe("S3: what covers and what is covered", () => {
  it("is the host's /dev/null, whatever the image has in /dev", async () => {
    const secret = path.join(engine.root, "secret");
    await writeFile(secret, "secret");
    await loadImage(engine, "devs", [
      { header: { name: "dev/", type: "directory", mode: 0o755 } },
      { header: { name: "dev/null", type: "symlink", linkname: secret } },
      { header: { name: "dev/console", type: "symlink", linkname: secret } },
      { header: { name: "dev/pts", type: "symlink", linkname: engine.root } },
      { header: { name: "dev/fd", type: "symlink", linkname: engine.root } },
    ]);
    const script =
      "stat -c %t:%T /proc/keys /proc/timer_list /dev/null; cat /proc/keys /proc/timer_list";
    for (const options of [[], ["-t"]]) {
      const seen = await engine.docker(["run", "--rm", ...options, "devs", "sh", "-c", script]);
      assert.deepEqual(lines(seen.replaceAll("\r", "")), ["1:3", "1:3", "1:3"]);
    }
    await engine.docker(["rmi", "devs"]);
    assert.equal(readFileSync(secret, "utf8"), "secret");
    await loadImage(engine, "dev-link", [
      { header: { name: "dev", type: "symlink", linkname: engine.root } },
    ]);
    const before = readdirSync(engine.root).toSorted();
    await engine.tryDocker(["run", "--rm", "-t", "dev-link", "true"]);
    assert.deepEqual(readdirSync(engine.root).toSorted(), before);
    await engine.docker(["rmi", "dev-link"]);
  });

  it("cannot have the mode or owner of the host's device changed that covers it", async () => {
    // What is asked for is what is there: a failure of this test changes nothing on the host.
    const change =
      "for p in keys interrupts timer_list; do chmod 666 /proc/$p; chown 0:0 /proc/$p; done";
    const { stderr } = await engine.tryDocker(["run", "--rm", ...sh(change)]);
    assert.equal(stderr.match(/Read-only file system/g)?.length, 6, stderr);
  });

  it("is not shown the host's null device as standard input, whatever its /dev is", async () => {
    const host = statSync("/dev/null").dev;
    await using folder = await openTempDir("gantry-dev-");
    const look = ["stat", "-L", "-c", "%d %t %T", "/proc/self/fd/0"];
    for (const options of [[], ["-v", `${folder.path}:/dev`]]) {
      const id = await engine.docker([
        "run",
        "-d",
        ...options,
        ...sh("stat -L -c '%d %t %T' /proc/self/fd/0; sleep 1000"),
      ]);
      const seen = [await engine.docker(["exec", id, ...look])];
      seen.push(await eventually(async () => await engine.docker(["logs", id])));
      await engine.docker(["rm", "-f", id]);
      for (const line of seen) {
        assert.match(line, /^\d+ 1 3$/);
        assert.notEqual(line.split(" ")[0], String(host), options.join(" "));
      }
    }
  });

  it("S19: is what tells of the host or of neighbours", async () => {
    const masked = [
      ...["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"],
      ...["/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"],
      ...["/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"],
      "/sys/devices/system/cpu/cpu0/thermal_throttle",
    ];
    const look =
      'for p in "$@"; do [ -e $p ] || continue; [ -d $p ] && ls -A $p || head -c1 $p; done';
    const seen = await engine.docker(["run", "--rm", "busybox", "sh", "-c", look, "sh", ...masked]);
    assert.equal(seen, "");
    const writes =
      "for p in sys/vm/panic_on_oom irq/default_smp_affinity sysrq-trigger; do (echo 1 > /proc/$p) 2>/dev/null && echo $p; done; true";
    assert.equal(await engine.docker(["run", "--rm", ...sh(writes)]), "");
    const shown = await engine.docker([
      "run",
      "--rm",
      "--privileged",
      ...sh("head -c9 /proc/interrupts | wc -c"),
    ]);
    assert.equal(shown, "9", "a privileged container sees it");
  });
});

describe("S4: kernel settings", () => {
  const forward = (): string => readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8");

  it("are written into the container's own /proc only", async () => {
    const before = forward();
    await loadImage(engine, "proc-link", [
      { header: { name: "proc", type: "symlink", linkname: "/tmp" } },
    ]);
    const options = ["--sysctl", "net.ipv4.ip_forward=0"];
    const link = await engine.tryDocker(["run", "--rm", ...options, "proc-link", "true"]);
    assert.notEqual(link.code, 0);
    assert.match(link.stderr, /must be mounted on ordinary directory/);
    for (const mount of [
      ["--tmpfs", "/proc/sys/net"],
      ["-v", "/tmp:/proc/sys"],
      ["-v", "/tmp:/proc/self/attr"],
    ]) {
      const covered = await engine.tryDocker([
        "run",
        "--rm",
        ...options,
        ...mount,
        "busybox",
        "true",
      ]);
      assert.notEqual(covered.code, 0, mount.join(" "));
      assert.match(covered.stderr, /inside \/proc|cannot be mounted/);
    }
    const own = await engine.docker([
      "run",
      "--rm",
      ...options,
      ...sh("cat /proc/sys/net/ipv4/ip_forward"),
    ]);
    assert.equal(own, "0");
    assert.equal(forward(), before);
    await engine.docker(["rmi", "proc-link"]);
  });

  it("of the host are refused", async () => {
    for (const setting of [
      "vm.panic_on_oom=1",
      "kernel.panic=7",
      "fs.file-max=9",
      "net/../../kernel.panic=7",
      "net.ipv4/../../kernel/panic=7",
    ]) {
      const refused = await engine.tryDocker([
        "run",
        "--rm",
        "--sysctl",
        setting,
        "busybox",
        "true",
      ]);
      assert.notEqual(refused.code, 0, setting);
    }
    const shared = [
      "run",
      "--rm",
      "--network",
      "host",
      "--sysctl",
      "net.ipv4.ip_forward=0",
      "busybox",
      "true",
    ];
    assert.notEqual((await engine.tryDocker(shared)).code, 0);
    const ipc = ["run", "--rm", "--ipc", "host", "--sysctl", "kernel.shmmax=1", "busybox", "true"];
    assert.notEqual((await engine.tryDocker(ipc)).code, 0);
  });
});

describe("S5: mount points that another container swaps meanwhile", () => {
  it("lead no mount out of the root", async () => {
    const before = mountsOfHost();
    const victim = path.join(engine.root, "victim");
    await mkdir(victim);
    await writeFile(path.join(victim, "file"), "untouched");
    const setup = `mkdir -p /v/real && ln -s ${victim} /v/link && exec /attacker swap /v/real /v/link`;
    const swapper = await engine.docker([
      "run",
      "-d",
      "-v",
      "swapped:/v",
      ...attacker,
      ...sh(setup),
    ]);
    await eventually(async () => (await engine.docker(["logs", swapper])).includes("swapping"));
    for (let round = 0; round < 12; round += 1) {
      const ran = await engine.tryDocker([
        ...[
          "run",
          "--rm",
          "-v",
          "swapped:/v",
          "-v",
          "/etc/hostname:/v/real/deep/file",
          "--tmpfs",
          "/v/real/tmp",
        ],
        ...sh("ls /v >/dev/null"),
      ]);
      assert.ok(ran.code === 0 || ran.code === 125 || ran.code >= 126, ran.stderr);
      assert.deepEqual(readdirSync(victim), ["file"]);
    }
    await engine.docker(["rm", "-f", swapper]);
    await engine.docker(["volume", "rm", "swapped"]);
    assert.equal(mountsOfHost(), before);
  });
});
