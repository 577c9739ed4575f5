import assert from "node:assert/strict";
import {
  mkdirSync,
  readdirSync as readdir,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { holds, Playground } from "./shim-driver.ts";
import { failure, output, sh } from "./shim-output.ts";
import { ms, processOf, standardMounts } from "./shim-plan.ts";

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
    for (const [destination, why] of [
      ["/proc/none", "inside /proc"],
      ["/proc", "not of type proc"],
    ] as const) {
      const refused = await failure({
        mounts: [
          { destination: "/proc", type: "proc", source: "proc" },
          { ...bind, destination },
        ],
      });
      assert.equal(
        refused.message,
        `error mounting "/tmp" to rootfs at "${destination}": "${destination}" cannot be mounted because it is ${why}`,
      );
    }
    const covered = await failure({
      mounts: [{ destination: "/proc", type: "tmpfs", source: "tmpfs" }],
    });
    assert.match(covered.message, /"\/proc" cannot be mounted because it is not of type proc$/);
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
