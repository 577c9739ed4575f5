/**
 * Attacks from inside containers and by hostile images, by the classes that other engines had faults of (S1 to S25 in
 * the names). What holds the attack off is read from the kernel or from what the attacker got.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { debianProgram } from "@gantry/testkit/debian";
import {
  type LayerEntry,
  makeDockerArchive,
  makeImage,
  makeLayer,
} from "@gantry/testkit/image-maker";
import { repository, type ServiceName, TestEngine } from "@gantry/testkit/test-engine";
import { buildAttacker } from "../src/attacker.ts";

let engine: TestEngine;
let attacker: readonly string[];
before(async () => {
  engine = await TestEngine.start();
  attacker = ["-v", `${await buildAttacker()}:/attacker:ro`];
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const readLink = (file: string): string => {
  try {
    return readlinkSync(file);
  } catch {
    // Closed meanwhile.
    return "";
  }
};

async function enginePids(): Promise<number[]> {
  const names = ["api-gateway", "container-service", "image-service", "supervisor"] as const;
  return (await Promise.all(names.map((name) => engine.pidsOf(name)))).flat();
}

/** PID of the process that looks after a container. */
async function shimOf(id: string): Promise<number> {
  const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

const sh = (script: string): string[] => ["busybox", "sh", "-c", script];
const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");
const mountsOfHost = (): string =>
  lines(readFileSync("/proc/self/mountinfo", "utf8"))
    .map((line) => line.split(" ")[4] ?? "")
    // Other engines of this machine have theirs below /tmp.
    .filter((target) => !target.startsWith("/tmp/") && !target.startsWith("/run/netns"))
    .toSorted()
    .join("\n");

/** An image of busybox with further entries over it. */
async function loadImage(
  name: string,
  entries: readonly LayerEntry[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const program = await debianProgram("busybox-static", "/bin/busybox");
  const layer = await makeLayer([
    { header: { name: "bin/", type: "directory", mode: 0o755 } },
    { header: { name: "bin/busybox", mode: 0o755 }, content: readFileSync(program) },
    ...["sh", "cat", "ls", "sleep", "id", "stat", "touch", "grep"].map(
      (applet): LayerEntry => ({
        header: { name: `bin/${applet}`, type: "symlink", linkname: "busybox" },
      }),
    ),
    ...entries,
  ]);
  const image = makeImage({ layers: [layer], config: { Cmd: ["sh"], ...config } });
  await engine.docker(["load"], {
    input: await makeDockerArchive([{ image, tags: [`${name}:latest`] }]),
  });
}

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
    await loadImage("cwd", [
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
    await loadImage("evil", [
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
    await loadImage("devs", [
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
    await loadImage("dev-link", [
      { header: { name: "dev", type: "symlink", linkname: engine.root } },
    ]);
    const before = readdirSync(engine.root).toSorted();
    await engine.tryDocker(["run", "--rm", "-t", "dev-link", "true"]);
    assert.deepEqual(readdirSync(engine.root).toSorted(), before);
    await engine.docker(["rmi", "dev-link"]);
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
    await loadImage("proc-link", [{ header: { name: "proc", type: "symlink", linkname: "/tmp" } }]);
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
    await loadImage("users", [
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
    await loadImage("fifo", [{ header: { name: "etc/passwd", type: "fifo", mode: 0o644 } }]);
    const fifo = await engine.tryDocker(["run", "--rm", "-u", "someone", "fifo", ...identity], {
      timeoutMs: 30_000,
    });
    assert.notEqual(fifo.code, 0);
    await loadImage("outside", [
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

describe("S15: the engine's sockets", () => {
  it("have no name that a container on the host's network could call", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const network = ["--network", "host"];
    const seen = lines(
      await engine.docker(["run", "--rm", ...network, ...sh("cat /proc/net/unix")]),
    );
    const inodes = new Set<string>();
    for (const pid of [...(await enginePids()), await shimOf(id)]) {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const [, inode] = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`)) ?? [];
        if (inode !== undefined) inodes.add(inode);
      }
    }
    const own = seen.filter((line) => inodes.has(line.trim().split(/\s+/)[6] ?? ""));
    assert.ok(own.length > 5, "the engine has sockets");
    assert.deepEqual(
      own.filter((line) => line.includes(" @")),
      [],
    );
    await engine.docker(["rm", "-f", id]);
  });

  it("cannot be found from inside", async () => {
    const script =
      "find / -xdev -type s 2>/dev/null; find /run /var/run -name '*gantry*' 2>/dev/null; true";
    assert.equal(await engine.docker(["run", "--rm", "--network", "host", ...sh(script)]), "");
  });
});

describe("S16: streams that are left alone", () => {
  it("an exec ends with its process, whoever still holds its output", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    for (let round = 0; round < 10; round += 1) {
      const started = Date.now();
      assert.equal(await engine.docker(["exec", id, "sh", "-c", "sleep 500 & echo done"]), "done");
      assert.ok(Date.now() - started < 20_000);
    }
    await engine.docker(["rm", "-f", id]);
  });

  it("give back descriptors, threads and processes", async () => {
    const id = await engine.docker(["run", "-d", "-t", "busybox", "sleep", "1000"]);
    const use = async (rounds: number): Promise<void> => {
      const socket = engine.dockerHost.replace("unix://", "");
      const script = `
import socket, json, sys
def call(method, path, body=None, wait=True, upgrade=False):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
    data = b"" if body is None else json.dumps(body).encode()
    head = method + " " + path + " HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\nContent-Length: " + str(len(data)) + "\\r\\n"
    if upgrade: head += "Connection: Upgrade\\r\\nUpgrade: tcp\\r\\n"
    s.sendall(head.encode() + b"\\r\\n" + data)
    answer = s.recv(65536) if wait else b""
    s.close()
    return answer
for n in range(int(sys.argv[3])):
    c = "/containers/" + sys.argv[2]
    call("POST", c + "/attach?stream=1&stdout=1&stdin=1", upgrade=True, wait=n % 2 == 0)
    call("POST", c + "/resize?h=20&w=%d" % (40 + n % 20))
    made = call("POST", c + "/exec", {"Cmd": ["sh", "-c", "sleep 0.01 & true"], "AttachStdout": True})
    exec = json.loads(made.split(b"\\r\\n\\r\\n", 1)[1])["Id"]
    call("POST", "/exec/" + exec + "/start", {"Detach": False}, upgrade=True, wait=n % 3 != 0)
    call("GET", c + "/logs?follow=1&stdout=1", wait=n % 2 == 0)
    call("GET", c + "/stats", wait=n % 2 == 1)
`;
      const { mustRun } = await import("@gantry/testkit/run");
      await mustRun(["python3", "-c", script, socket, id, String(rounds)]);
    };
    await use(8);
    const before = await usage(id);
    await use(24);
    await eventually(async () => {
      const now = await usage(id);
      for (const [name, count] of Object.entries(now))
        assert.ok(
          count <= (before[name] ?? 0) + 6,
          `${name}: ${String(before[name])} became ${String(count)}`,
        );
      return true;
    });
    await engine.docker(["rm", "-f", id]);
  });

  /** Open descriptors of each service and of the container's shim process. */
  async function usage(id: string): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    const services: readonly ServiceName[] = ["api-gateway", "container-service", "image-service"];
    for (const service of services) {
      const [pid = 0] = await engine.pidsOf(service);
      counts[service] = readdirSync(`/proc/${String(pid)}/fd`).length;
    }
    counts["shim"] = readdirSync(`/proc/${await shimOf(id)}/fd`).length;
    return counts;
  }
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

  it("can gain no privilege with no-new-privileges", async () => {
    const program = readFileSync(await buildAttacker());
    await loadImage("suid", [{ header: { name: "suid", mode: 0o4755 }, content: program }]);
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

describe("texts of users", () => {
  it("add no line to hosts, resolv.conf or the environment", async () => {
    const refused = [
      ["--hostname", "a\n1.2.3.4 bank"],
      ["--hostname", "a b"],
      ["--domainname", "a\nnameserver 1.2.3.4"],
      ["--dns", "1.1.1.1\nnameserver 2.2.2.2"],
      ["--dns-search", "a\nnameserver 2.2.2.2"],
      ["--dns-option", "a\nnameserver 2.2.2.2"],
      ["--add-host", "a:1.2.3.4\n5.6.7.8 bank"],
    ];
    for (const options of refused) {
      const ran = await engine.tryDocker([
        "run",
        "--rm",
        ...options,
        ...sh("cat /etc/hosts /etc/resolv.conf"),
      ]);
      assert.notEqual(ran.code, 0, JSON.stringify(options));
    }
    const value = "x\nLD_PRELOAD=/evil.so";
    const seen = await engine.docker([
      "run",
      "--rm",
      "-e",
      `A=${value}`,
      ...sh('echo "$A"; echo "${LD_PRELOAD-none}"'),
    ]);
    assert.equal(seen, `${value}\nnone`);
    const host = await engine.docker(["run", "--rm", ...sh("env | sort | cut -d= -f1")]);
    assert.deepEqual(
      lines(host).filter((name) => /GANTRY|NODE|NATS|DOCKER/.test(name)),
      [],
    );
  });

  it("forge no line of a log", async () => {
    const forged = '{"log":"forged\\n","stream":"stdout","time":"2020-01-01T00:00:00Z"}';
    const script = `printf '%s\\n' '${forged}'; printf 'a\\000b\\033[31m\\r\\342\\200\\250c\\377\\n'`;
    const id = await engine.docker(["run", "-d", ...sh(script)]);
    await engine.docker(["wait", id]);
    const file = await engine.docker(["inspect", "-f", "{{.LogPath}}", id]);
    const records = lines(readFileSync(file, "utf8")).map(
      (line) => JSON.parse(line) as { log: string },
    );
    assert.equal(records.length, 2);
    assert.equal(records[0]?.log, `${forged}\n`);
    assert.equal(lines(await engine.docker(["logs", "-t", id]))[0]?.endsWith(forged), true);
    await engine.docker(["rm", id]);
  });
});

describe("S25: shared memory", () => {
  it("of a container that was killed for memory is given back", async () => {
    const id = await engine.docker([
      ...[
        "run",
        "-d",
        "--ipc",
        "shareable",
        "-m",
        "48m",
        "--memory-swap",
        "48m",
        "--shm-size",
        "512m",
      ],
      ...sh("dd if=/dev/zero of=/dev/shm/x bs=1M count=400; sleep 1000"),
    ]);
    const joined = await engine.tryDocker([
      ...["run", "--rm", "-m", "48m", "--memory-swap", "48m", "--ipc", `container:${id}`],
      ...sh("dd if=/dev/zero of=/dev/shm/y bs=1M count=400 && echo survived"),
    ]);
    assert.doesNotMatch(joined.stdout, /survived/);
    await engine.docker(["rm", "-f", id]);
    const left = lines(readFileSync("/proc/self/mounts", "utf8")).filter(
      (line) => line.includes(engine.root) && line.includes("shm"),
    );
    assert.deepEqual(left, []);
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
