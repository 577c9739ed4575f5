import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync as readdir,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  holds,
  kernel,
  ms,
  type PlanInit,
  Playground,
  processOf,
  standardMounts,
} from "./shim-driver.ts";

/** Runs a command to its end and gives back what it printed. */
async function output(
  changes: PlanInit,
  prepare?: (playground: Playground) => void,
): Promise<string> {
  await using playground = await Playground.make();
  prepare?.(playground);
  const shim = playground.launch(changes);
  const failed = shim
    .message("startFailed")
    .then((failure) => Promise.reject(new Error(failure.message)));
  await Promise.race([shim.message("exited"), failed]);
  failed.catch(() => undefined);
  return playground
    .log()
    .map((record) => record.log)
    .join("");
}

async function failure(changes: PlanInit, prepare?: (playground: Playground) => void) {
  await using playground = await Playground.make();
  prepare?.(playground);
  const shim = playground.launch(changes);
  const failed = await shim.message("startFailed");
  assert.deepEqual(await shim.exitOfProcess(), { exitCode: 1 });
  return failed;
}

/** Gone, or only waiting to be reaped by the machine's init. */
function isDead(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").includes(" Z ");
  } catch {
    return true;
  }
}

const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });

describe("the end of the first process", () => {
  for (const [script, exitCode, signal] of [
    ["exit 0", 0, 0],
    ["exit 7", 7, 0],
    ["kill -TERM $$", 143, 15],
    ["kill -KILL $$", 137, 9],
  ] as const) {
    it(`is reported and recorded for ${script}`, async () => {
      await using playground = await Playground.make();
      // As a child of the first process: signals without a handler do not reach the init of a PID namespace from inside.
      const shim = playground.launch(
        signal === 0
          ? sh(script)
          : { ...sh(script), namespaces: [{ cloneFlag: 0x20000n }], hostname: "" },
      );
      const exited = await shim.message("exited");
      assert.equal(exited.exitCode, exitCode);
      assert.equal(exited.signal, signal);
      const record = shim.exitRecord();
      assert.equal(record["exitCode"], exitCode);
      assert.equal(record["signal"], signal);
      assert.equal(record["nonce"], "010203");
      assert.equal(record["timeNano"], String(exited.timeNano));
      assert.deepEqual(await shim.exitOfProcess(), { exitCode: 0 });
    });
  }

  it("is recorded while nobody listens", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("read line; exit 3"),
      stdio: { openStdin: true, stdinOnce: true },
      tickets: [{ ticket: new Uint8Array(32).fill(9), stdin: true }],
    });
    await shim.message("started");
    shim.dropControl();
    shim.stream(new Uint8Array(32).fill(9)).socket.end("go\n");
    await shim.exitOfProcess();
    assert.equal(shim.exitRecord()["exitCode"], 3);
  });

  it("makes nothing before the brain says that it knows of it", async () => {
    await using playground = await Playground.make();
    writeFileSync(playground.path("exit.json"), " ".repeat(512));
    const shim = playground.launch({ ...sh("exit 3"), awaitBegin: true });
    assert.equal(shim.messages.length, 0);
    assert.equal(existsSync(playground.path("json.log")), false);
    shim.sendRaw(new Uint8Array(4));
    assert.equal((await shim.message("exited")).exitCode, 3);
    const started = await shim.message("started");
    assert.deepEqual(
      [shim.exitRecord()["pid"], shim.exitRecord()["startedNano"]],
      [started.pid, String(started.timeNano)],
    );
  });

  it("ends without a trace when the brain goes before that", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ ...sh("exit 3"), awaitBegin: true });
    shim.dropControl();
    assert.deepEqual(await shim.exitOfProcess(), { exitCode: 1 });
    assert.equal(existsSync(playground.path("json.log")), false);
    assert.equal(existsSync(playground.path("shim.sock")), true);
  });

  it("tells in the record of the run that the program has begun, and takes it back when it has not", async () => {
    await using playground = await Playground.make();
    const record = playground.path("exit.json");
    writeFileSync(record, " ".repeat(512));
    const shim = playground.launch(sh("sleep 1000"));
    const { pid } = await shim.message("started");
    assert.equal(shim.exitRecord()["pid"], pid);
    assert.match(String(shim.exitRecord()["startedNano"]), /^1\d{18}$/);
    kernel.pidfdSendSignal(shim.pidfd, 9);
    await shim.exitOfProcess();
    writeFileSync(record, " ".repeat(512));
    const failed = playground.launch({ process: processOf(["/nowhere"]) });
    await failed.message("startFailed");
    assert.equal(readFileSync(record, "utf8").trim(), "");
  });

  it("takes the container along when the shim is killed", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("trap '' TERM HUP; while true; do sleep 1; done"));
    const { pid } = await shim.message("started");
    kernel.pidfdSendSignal(shim.pidfd, 9);
    await holds(() => isDead(pid), 1000);
  });
});

describe("a command that cannot be run", () => {
  for (const [what, args, message, code] of [
    ["in no directory of PATH", ["nope"], 'exec: "nope": executable file not found in $PATH', 127],
    ["at no path", ["/nope"], 'exec: "/nope": stat /nope: no such file or directory', 127],
    ["not executable", ["/etc/passwd"], 'exec: "/etc/passwd": permission denied', 126],
    ["a directory", ["/etc"], 'exec: "/etc": is a directory', 126],
    [
      "below a file",
      ["/etc/passwd/x"],
      'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory',
      127,
    ],
  ] as const) {
    it(`is refused with Docker's text: ${what}`, async () => {
      const failed = await failure({ process: processOf([...args]) });
      assert.equal(failed.message, message);
      assert.equal(failed.exitCode, code);
      assert.equal(failed.step, "exec");
    });
  }

  it("is refused with Docker's text: no program format", async () => {
    const failed = await failure({ process: processOf(["/bin/text"]) }, (playground) => {
      writeFileSync(playground.path("lower/bin/text"), "\u0001\u0002no program", { mode: 0o755 });
    });
    assert.equal(failed.message, "exec /bin/text: exec format error");
  });

  it("leaves no record and no process", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ process: processOf(["nope"]) });
    await shim.message("startFailed");
    await shim.exitOfProcess();
    assert.equal(shim.hasExitRecord(), false);
  });
});

describe("the plan", () => {
  it("is refused with a field that is not known", async () => {
    await using playground = await Playground.make();
    // Field 3000 of LaunchPlan, a varint.
    const shim = playground.launch({
      $unknown: [{ no: 3000, wireType: 0, data: new Uint8Array([1]) }],
    });
    const failed = await shim.message("startFailed");
    assert.equal(failed.step, "plan");
  });

  it("is refused in another version", async () => {
    const failed = await failure({ protocolVersion: 2 });
    assert.match(failed.message, /version 1/);
  });
});

describe("the process", () => {
  it("has nothing open but its streams", async () => {
    // The shell does not open anything; a list of its own process would hold the list itself.
    assert.equal(
      await output(sh("ls /proc/$$/fd; readlink /proc/$$/fd/0; exit 0")),
      "0\n1\n2\n/dev/null\n",
    );
  });

  it("has the capabilities, groups and limits of its plan", async () => {
    const status = await output({
      process: processOf(
        ["sh", "-c", "cat /proc/self/status /proc/self/limits /proc/self/oom_score_adj; umask"],
        {
          capabilities: {
            bounding: 0x3n,
            effective: 0x1n,
            permitted: 0x1n,
            inheritable: 0x1n,
            ambient: 0x1n,
          },
          user: "1000:1000",
          noNewPrivileges: true,
          oomScoreAdj: 500,
          setOomScoreAdj: true,
          rlimits: [{ resource: 7, soft: 5n, hard: 6n }],
          umask: 0o27,
          setUmask: true,
        },
      ),
    });
    assert.match(
      status,
      /CapInh:\t0000000000000001\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000001\nCapBnd:\t0000000000000003\nCapAmb:\t0000000000000001/,
    );
    assert.match(status, /Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000/);
    assert.match(status, /Groups:\t1000 \n/);
    assert.match(status, /NoNewPrivs:\t1/);
    assert.match(status, /Max open files +5 +6/);
    assert.match(status, /\n500\n0027\n$/);
  });

  it("keeps no capability when it is not root", async () => {
    const status = await output({
      process: processOf(["cat", "/proc/self/status"], { user: "1000" }),
    });
    assert.match(
      status,
      /CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb/,
    );
  });

  it("runs under its seccomp program", async () => {
    const { seccompProgram } = await denyMkdir();
    for (const noNewPrivileges of [false, true]) {
      const text = await output({
        process: processOf(["sh", "-c", "mkdir /x 2>&1; grep Seccomp: /proc/self/status"], {
          seccompProgram,
          noNewPrivileges,
        }),
      });
      assert.match(text, /Operation not permitted\nSeccomp:\t2/);
    }
  });

  it("starts in a working directory that is made for it", async () => {
    assert.equal(await output({ process: processOf(["pwd"], { cwd: "/a/b" }) }), "/a/b\n");
  });

  it("does not start in a descriptor of ours", async () => {
    for (const cwd of [
      "/proc/self/fd/3",
      "/proc/self/fd/7",
      "/proc/thread-self/fd/8/..",
      "/link",
    ]) {
      const failed = await failure({ process: processOf(["pwd"], { cwd }) }, (playground) => {
        symlinkSync("/proc/self/fd/7", playground.path("lower/link"));
      });
      assert.equal(failed.step, "chdir", cwd);
    }
  });

  it("has a home by its user, unless the environment names one", async () => {
    assert.equal(
      await output({ process: processOf(["sh", "-c", "echo $HOME"], { user: "user" }) }),
      "/home/user\n",
    );
    assert.equal(
      await output({ process: processOf(["sh", "-c", "echo $HOME"], { user: "4444" }) }),
      "/\n",
    );
    assert.equal(
      await output({
        process: processOf(["sh", "-c", "echo $HOME"], { env: ["HOME=/x", "PATH=/bin"] }),
      }),
      "/x\n",
    );
  });

  it("can open its own streams again as any user", async () => {
    assert.equal(
      await output({
        process: processOf(["sh", "-c", "echo a > /dev/stdout; echo b > /proc/self/fd/2"], {
          user: "1000",
        }),
      }),
      "a\nb\n",
    );
  });
});

/** A filter that answers EPERM to mkdir and mkdirat. */
async function denyMkdir(): Promise<{ seccompProgram: Uint8Array }> {
  const program = await kernel.compileSeccomp({
    defaultAction: 0x7fff0000,
    architectures: [],
    rules: [{ action: 0x00050001, names: ["mkdir", "mkdirat"], conditions: [] }],
    refuseSocketcallSocket: false,
  });
  return { seccompProgram: program };
}

describe("the user", () => {
  const ids = async (
    user: string,
    additionalGroups: string[] = [],
    prepare?: (playground: Playground) => void,
  ): Promise<string[]> =>
    (
      await output(
        { process: processOf(["cat", "/proc/self/status"], { user, additionalGroups }) },
        prepare,
      )
    )
      .split("\n")
      .filter((line) => /^(Uid|Gid|Groups):/.test(line))
      .map((line) =>
        (line.startsWith("Groups") ? line : line.split("\t").slice(0, 2).join("\t")).trim(),
      );

  it("is root with root's groups when none is named", async () => {
    assert.deepEqual(await ids(""), ["Uid:\t0", "Gid:\t0", "Groups:\t0 10"]);
  });
  it("is found by name, with the groups that list it", async () => {
    assert.deepEqual(await ids("user"), ["Uid:\t1000", "Gid:\t1000", "Groups:\t10 29 1000"]);
  });
  it("has only the named group", async () => {
    assert.deepEqual(await ids("user:audio"), ["Uid:\t1000", "Gid:\t29", "Groups:\t29"]);
    assert.deepEqual(await ids("12:34"), ["Uid:\t12", "Gid:\t34", "Groups:\t34"]);
  });
  it("gets additional groups by name and number", async () => {
    assert.deepEqual(await ids("12", ["audio", "77"]), ["Uid:\t12", "Gid:\t0", "Groups:\t0 29 77"]);
  });

  const range = "uids and gids must be in range 0-2147483647";
  for (const [user, text] of [
    ["nobody", "unable to find user nobody: no matching entries in passwd file"],
    ["evil", "unable to find user evil: no matching entries in passwd file"],
    ["root:nogroup", "unable to find group nogroup: no matching entries in group file"],
    ["4294967296", range],
    ["2147483648", range],
    ["-1", range],
    ["99999999999999999999", range],
    ["0:4294967296", range],
  ] as const) {
    it(`is refused: ${user}`, async () => {
      const failed = await failure({ process: processOf(["true"], { user }) });
      assert.equal(failed.message, text);
      assert.equal(failed.step, "user");
    });
  }

  it("is never read from a FIFO, a device or a file of a gigabyte", async () => {
    for (const make of ["mkfifo", "device", "big"]) {
      await using playground = await Playground.make();
      rmSync(playground.path("lower/etc/passwd"));
      const { execFileSync } = await import("node:child_process");
      if (make === "mkfifo") execFileSync("mkfifo", [playground.path("lower/etc/passwd")]);
      if (make === "device")
        execFileSync("mknod", [playground.path("lower/etc/passwd"), "c", "1", "5"]);
      if (make === "big")
        execFileSync("truncate", ["-s", "1G", playground.path("lower/etc/passwd")]);
      const shim = playground.launch({ process: processOf(["true"], { user: "user" }) });
      const failed = await shim.message("startFailed");
      assert.match(failed.message, /^unable to find user user: /);
    }
  });
});

describe("mounts", () => {
  it("bind directories and files, also below a volume", async () => {
    await using playground = await Playground.make();
    mkdirSync(playground.path("volume/deep/er"), { recursive: true });
    writeFileSync(playground.path("volume/deep/er/file"), "inside");
    writeFileSync(playground.path("single"), "one");
    const shim = playground.launch({
      ...sh("cat /data/file /etc/single; echo x > /data/file; echo $?"),
      mounts: [
        {
          destination: "/data",
          type: "bind",
          source: playground.path("volume"),
          subpath: "deep/er",
          flags: ms.bind | ms.rdonly,
        },
        {
          destination: "/etc/single",
          type: "bind",
          source: playground.path("single"),
          flags: ms.bind,
        },
        { destination: "/proc", type: "proc", source: "proc" },
      ],
    });
    await shim.message("exited");
    assert.equal(
      playground
        .log()
        .filter((record) => record.stream === "stdout")
        .map((record) => record.log)
        .join(""),
      "insideone1\n",
    );
  });

  it("follow no link out of the root", async () => {
    await using playground = await Playground.make();
    mkdirSync(playground.path("outside"));
    mkdirSync(playground.path("volume"));
    symlinkSync(playground.path("outside"), playground.path("lower/absolute"));
    symlinkSync(
      "../../../../../../.." + playground.path("outside"),
      playground.path("lower/upward"),
    );
    const shim = playground.launch({
      ...sh(`ls -d /absolute/made /upward/made2 ${playground.path("outside")}/made`),
      mounts: ["/absolute/made", "/upward/made2"].map((destination) => ({
        destination,
        type: "bind",
        source: playground.path("volume"),
        flags: ms.bind,
      })),
    });
    assert.equal((await shim.message("exited")).exitCode, 0);
    assert.deepEqual(readdir(playground.path("outside")), []);
  });

  it("are refused inside /proc, and /proc on a link", async () => {
    const bind = { type: "bind", source: "/tmp", flags: ms.bind };
    const inside = await failure({
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { ...bind, destination: "/proc/sys/net" },
      ],
    });
    assert.match(
      inside.message,
      /"\/proc\/sys\/net" cannot be mounted because it is inside \/proc$/,
    );
    const linked = await failure({}, (playground) => {
      rmSync(playground.path("lower/proc"), { recursive: true });
      symlinkSync("/tmp", playground.path("lower/proc"));
    });
    assert.match(linked.message, /must be mounted on ordinary directory/);
  });

  it("name what is missing", async () => {
    const failed = await failure({
      mounts: [{ destination: "/x", type: "bind", source: "/no/such/source", flags: ms.bind }],
    });
    assert.equal(failed.step, "mount");
    assert.equal(failed.subject, "/x");
    assert.equal(failed.errnoValue, 2);
    assert.equal(failed.exitCode, 127);
  });

  it("are read-only to the last one of a tree when asked", async () => {
    const { execFileSync } = await import("node:child_process");
    await using playground = await Playground.make();
    mkdirSync(playground.path("volume/inner"), { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", playground.path("volume/inner")]);
    try {
      const shim = playground.launch({
        ...sh("touch /v/x; echo $?; touch /v/inner/x; echo $?; touch /w/inner/x; echo $?"),
        mounts: [
          {
            destination: "/v",
            type: "bind",
            source: playground.path("volume"),
            flags: ms.bind | ms.rec | ms.rdonly,
            recursiveReadonly: true,
          },
          {
            destination: "/w",
            type: "bind",
            source: playground.path("volume"),
            flags: ms.bind | ms.rec | ms.rdonly,
          },
        ],
      });
      await shim.message("exited");
      assert.equal(
        playground
          .log()
          .filter((record) => record.stream === "stdout")
          .map((record) => record.log)
          .join(""),
        "1\n1\n0\n",
      );
    } finally {
      execFileSync("umount", [playground.path("volume/inner")]);
    }
  });

  it("fill a tmpfs with what the image has there", async () => {
    assert.equal(
      await output({
        ...sh(
          "cat /etc/passwd | head -1; ls /etc; rm /etc/group; mount | grep -c 'on /etc type tmpfs'",
        ),
        mounts: [
          { destination: "/etc", type: "tmpfs", source: "tmpfs", tmpcopyup: true },
          { destination: "/proc", type: "proc", source: "proc" },
        ],
      }),
      "root:x:0:0:root:/root:/bin/sh\ngroup\npasswd\n1\n",
    );
  });

  it("stack a hundred layers with long paths", async () => {
    await using playground = await Playground.make();
    const layers: string[] = [];
    for (let i = 0; i < 100; i++) {
      const layer = playground.path(`${"long".repeat(60)}${i}`);
      mkdirSync(layer);
      writeFileSync(`${layer}/file${i}`, "");
      layers.push(layer);
    }
    const shim = playground.launch({
      ...sh("ls / | grep -c file"),
      rootfs: {
        mountpoint: playground.path("root"),
        lowerDirs: [...layers, playground.path("lower")],
        upperDir: playground.path("upper"),
        workDir: playground.path("work"),
      },
    });
    await shim.message("exited");
    assert.equal(playground.log()[0]?.log, "100\n");
  });

  it("leave a read-only root", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("touch /x; echo $?; touch /dev/shm/x; echo $?"),
      rootfs: {
        mountpoint: playground.path("root"),
        lowerDirs: [playground.path("lower")],
        upperDir: playground.path("upper"),
        workDir: playground.path("work"),
        readonly: true,
      },
    });
    await shim.message("exited");
    assert.equal(
      playground
        .log()
        .filter((record) => record.stream === "stdout")
        .map((record) => record.log)
        .join(""),
      "1\n0\n",
    );
  });

  it("may be a bound directory as root", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("echo hi > /made"),
      rootfs: { mountpoint: playground.path("root"), bindSource: playground.path("lower") },
    });
    assert.equal((await shim.message("exited")).exitCode, 0);
    assert.equal(readFileSync(playground.path("lower/made"), "utf8"), "hi\n");
  });
});

describe("a volume whose links another container swaps", () => {
  it("leads no mount and no directory out of the root", async () => {
    await using attacker = await Playground.make();
    const volume = attacker.path("volume");
    const target = attacker.path("host");
    mkdirSync(join(volume, "real"), { recursive: true });
    mkdirSync(target);
    const swapping = attacker.launch({
      ...sh(
        `cd /v; mkdir -p d; ln -s ../../../../../../../../..${target} l; echo ready; while true; do mv -T d t; mv -T l d; mv -T d l; mv -T t d; done`,
      ),
      mounts: [
        ...standardMounts,
        { destination: "/v", type: "bind", source: volume, flags: ms.bind },
      ],
    });
    await swapping.message("started");
    await holds(() => attacker.log().length > 0);
    for (let round = 0; round < 30; round++) {
      await using victim = await Playground.make();
      const shim = victim.launch({
        ...sh("true"),
        mounts: [
          ...standardMounts,
          { destination: "/v", type: "bind", source: volume, flags: ms.bind },
          {
            destination: `/v/d/made${String(round)}`,
            type: "bind",
            source: victim.path("lower"),
            flags: ms.bind,
          },
          {
            destination: "/v/d/file",
            type: "bind",
            source: victim.path("lower/etc/passwd"),
            flags: ms.bind,
          },
        ],
        maskedPaths: ["/v/d"],
        devices: [{ path: "/v/d/node", mode: 0o20666, major: 1, minor: 3 }],
        process: processOf(["true"], { cwd: `/v/d/cwd${String(round)}` }),
      });
      const failed = shim.message("startFailed");
      failed.catch(() => undefined);
      await Promise.race([shim.message("exited"), failed]);
      await shim.exitOfProcess();
    }
    assert.deepEqual(readdir(target), []);
  });
});

describe("what the container must not see", () => {
  it("is hidden, whatever the image has at /dev/null", async () => {
    await using playground = await Playground.make();
    symlinkSync("/etc/passwd", playground.path("lower/dev/null"));
    const shim = playground.launch({
      ...sh(
        "cat /proc/keys | wc -c; ls /sys/firmware /proc/acpi | grep -v : | grep -c .; stat -c %t:%T /proc/keys; cat /secret | wc -c; echo x > /proc/sys/kernel/hostname; echo $?",
      ),
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/sys", type: "sysfs", source: "sysfs" },
      ],
      maskedPaths: ["/proc/keys", "/proc/acpi", "/sys/firmware", "/secret", "/not/there"],
    });
    writeFileSync(playground.path("lower/secret"), "secret");
    await shim.message("exited");
    const lines = playground
      .log()
      .filter((record) => record.stream === "stdout")
      .map((record) => record.log.trim());
    assert.deepEqual(lines, ["0", "0", "1:3", "0", "1"]);
  });

  it("is no host path of a device", async () => {
    await using playground = await Playground.make();
    rmSync(playground.path("lower/dev"), { recursive: true });
    mkdirSync(playground.path("outside"));
    symlinkSync(playground.path("outside"), playground.path("lower/dev"));
    const shim = playground.launch({
      ...sh("true"),
      mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
      devices: [{ path: "/dev/loopy", mode: 0o20600, major: 1, minor: 5 }],
    });
    await Promise.race([shim.message("exited"), shim.message("startFailed")]);
    assert.deepEqual(readdir(playground.path("outside")), []);
  });
});

describe("namespaces", () => {
  it("that are not its own keep their names", async () => {
    const failed = await failure({ namespaces: [{ cloneFlag: 0x20000n }], hostname: "mine" });
    assert.equal(failed.step, "hostname");
  });

  it("carry host name, domain name and sysctls", async () => {
    const text = await output({
      ...sh(
        "hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_forward",
      ),
      domainname: "example",
      sysctls: { "kernel.shmmni": "123", "net/ipv4/ip_forward": "1" },
    });
    assert.equal(text, "box\nexample\n123\n1\n");
    assert.notEqual(readFileSync("/proc/sys/kernel/shmmni", "utf8"), "123\n");
  });

  it("of another container are joined, its PID namespace too", async () => {
    await using first = await Playground.make();
    const one = first.launch({ ...sh("sleep 100"), hostname: "first" });
    const { pid } = await one.message("started");
    await using second = await Playground.make();
    const two = second.launch({
      ...sh("hostname; ls -l /proc/self/ns/net; ps | grep -c 'sleep 100'"),
      hostname: "",
      readonlyPaths: [],
      maskedPaths: [],
      namespaces: [
        { cloneFlag: 0x20000n },
        ...[
          ["uts", 0x4000000n],
          ["net", 0x40000000n],
          ["pid", 0x20000000n],
        ].map(([name, cloneFlag]) => ({
          cloneFlag: cloneFlag as bigint,
          path: `/proc/${pid}/ns/${name}`,
        })),
      ],
    });
    assert.equal((await two.message("exited")).exitCode, 0);
    const [name, net, sleepers] = second.log().map((record) => record.log.trim());
    assert.equal(name, "first");
    assert.ok(net?.endsWith((await import("node:fs")).readlinkSync(`/proc/${pid}/ns/net`)));
    assert.notEqual(sleepers, "0");
    assert.equal(await two.exitOfProcess().then(() => one.hasExited()), false);
  });

  it("may include one for users", async () => {
    const text = await output(
      {
        ...sh("cat /proc/self/uid_map; id -u; touch /x; stat -c %u /x"),
        namespaces: [0x20000n, 0x20000000n, 0x4000000n, 0x8000000n, 0x40000000n, 0x10000000n].map(
          (cloneFlag) => ({ cloneFlag }),
        ),
        uidMap: "0 100000 65536\n",
        gidMap: "0 100000 65536\n",
        maskedPaths: [],
        readonlyPaths: [],
      },
      (playground) => {
        for (const name of ["lower", "upper", "work"])
          chownSync(playground.path(name), 100000, 100000);
      },
    );
    assert.match(text, /^ +0 +100000 +65536\n0\n0\n$/);
  });
});
