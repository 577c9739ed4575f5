/**
 * Every option of HostConfig, read back from the kernel: by the container itself from /proc,
 * or by the test from the container's cgroup. docs/hostconfig.md names the case of each field.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { repository, TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** What a container sees of itself. */
interface InsideCase {
  /** Fields of HostConfig. */
  readonly fields: string;
  readonly args: readonly string[];
  readonly script: string;
  readonly shows: RegExp;
}

const inside: readonly InsideCase[] = [
  { fields: "Annotations", args: ["--annotation", "berth=7"], script: "echo ok", shows: /^ok$/ },
  {
    fields: "CapAdd",
    args: ["--cap-add", "SYS_TIME"],
    script: "grep CapBnd /proc/self/status",
    shows: /00000000aa0425fb$/,
  },
  {
    fields: "CapDrop",
    args: ["--cap-drop", "ALL"],
    script: "grep CapBnd /proc/self/status",
    shows: /0000000000000000$/,
  },
  {
    fields: "CgroupnsMode",
    args: ["--cgroupns", "private"],
    script: "cat /proc/self/cgroup | cut -d: -f3 | sort -u",
    shows: /^\/$/,
  },
  {
    fields: "Devices",
    args: ["--device", "/dev/fuse:/dev/hose:r"],
    script: "ls -l /dev/hose",
    shows: /^crw.* 10, 229 .*\/dev\/hose$/,
  },
  {
    fields: "Dns, DnsOptions, DnsSearch",
    args: ["--dns", "192.0.2.53", "--dns-option", "ndots:3", "--dns-search", "harbour.test"],
    script: "cat /etc/resolv.conf",
    shows:
      /nameserver 192\.0\.2\.53[^]*search harbour\.test[^]*options ndots:3|search harbour\.test[^]*nameserver 192\.0\.2\.53[^]*options ndots:3|nameserver 192\.0\.2\.53[^]*options ndots:3/,
  },
  {
    fields: "ExtraHosts",
    args: ["--add-host", "pier:192.0.2.9"],
    script: "grep pier /etc/hosts",
    shows: /^192\.0\.2\.9\s+pier$/,
  },
  {
    fields: "GroupAdd",
    args: ["--group-add", "wheel", "--group-add", "4711"],
    script: "grep Groups /proc/self/status",
    shows: /\b10 4711\b/,
  },
  {
    fields: "IpcMode",
    args: ["--ipc", "none"],
    script: "grep -c ' /dev/shm ' /proc/self/mounts; true",
    shows: /^0$/,
  },
  { fields: "Init", args: ["--init"], script: "cat /proc/1/cmdline", shows: /docker-init/ },
  { fields: "MaskedPaths", args: [], script: "cat /proc/kcore | wc -c", shows: /^0$/ },
  {
    fields: "ReadonlyPaths",
    args: [],
    script: "echo 1 > /proc/sys/kernel/panic; echo status $?",
    shows: /status 1/,
  },
  {
    fields: "MaskedPaths, ReadonlyPaths (unconfined)",
    args: ["--security-opt", "systempaths=unconfined"],
    script: "grep -c ' /proc/' /proc/self/mounts; true",
    shows: /^0$/,
  },
  {
    fields: "NetworkMode",
    args: ["--network", "none"],
    script: "ls /sys/class/net",
    shows: /^lo$/,
  },
  {
    fields: "OomScoreAdj",
    args: ["--oom-score-adj", "321"],
    script: "cat /proc/self/oom_score_adj",
    shows: /^321$/,
  },
  {
    fields: "PidMode",
    args: ["--pid", "host"],
    script: "grep NSpid /proc/self/status",
    shows: /^NSpid:\t\d+$/,
  },
  {
    fields: "Privileged",
    args: ["--privileged"],
    script: "grep CapEff /proc/self/status; grep Seccomp: /proc/self/status",
    shows: /CapEff:\t0000[0-9a-f]*f[0-9a-f]{9}\nSeccomp:\t0/,
  },
  {
    fields: "ReadonlyRootfs",
    args: ["--read-only"],
    script: "grep ' / ' /proc/self/mounts",
    shows: / ro[, ]/,
  },
  {
    fields: "SecurityOpt no-new-privileges",
    args: ["--security-opt", "no-new-privileges"],
    script: "grep NoNewPrivs /proc/self/status",
    shows: /1$/,
  },
  {
    fields: "SecurityOpt seccomp",
    args: ["--security-opt", "seccomp=unconfined"],
    script: "grep Seccomp: /proc/self/status",
    shows: /0$/,
  },
  {
    fields: "SecurityOpt seccomp (default)",
    args: [],
    script: "grep Seccomp: /proc/self/status",
    shows: /2$/,
  },
  {
    fields: "ShmSize",
    args: ["--shm-size", "12m"],
    script: "grep ' /dev/shm ' /proc/self/mounts",
    shows: /size=12288k/,
  },
  {
    fields: "Sysctls",
    args: ["--sysctl", "net.ipv4.ip_forward=0"],
    script: "cat /proc/sys/net/ipv4/ip_forward",
    shows: /^0$/,
  },
  {
    fields: "Tmpfs",
    args: ["--tmpfs", "/scratch:size=3m,mode=1770"],
    script: "grep ' /scratch ' /proc/self/mounts",
    shows: /tmpfs .*size=3072k.*mode=1770/,
  },
  {
    fields: "Ulimits",
    args: ["--ulimit", "nofile=123:456"],
    script: "grep 'Max open files' /proc/self/limits",
    shows: /123\s+456/,
  },
  {
    fields: "UTSMode",
    args: ["--uts", "host"],
    script: "hostname",
    shows: new RegExp(`^${(await readFile("/proc/sys/kernel/hostname", "utf8")).trim()}$`),
  },
  {
    fields: "Mounts (bind, read-only)",
    args: ["--mount", "type=bind,source=/etc,target=/host-etc,readonly"],
    script: "grep ' /host-etc ' /proc/self/mounts",
    shows: / ro[, ]/,
  },
  {
    fields: "Mounts (tmpfs)",
    args: ["--mount", "type=tmpfs,target=/t,tmpfs-size=1048576"],
    script: "grep ' /t ' /proc/self/mounts",
    shows: /size=1024k/,
  },
  {
    fields: "Mounts (volume)",
    args: ["--mount", "type=volume,target=/v"],
    script: "grep -c ' /v ' /proc/self/mounts",
    shows: /^1$/,
  },
  { fields: "ConsoleSize, Runtime", args: ["--runtime", "runc"], script: "echo ok", shows: /^ok$/ },
];

describe("a container sees", () => {
  for (const { fields, args, script, shows } of inside) {
    it(`HostConfig ${fields}`, async () => {
      assert.match(
        await engine.docker(["run", "--rm", ...args, "busybox", "sh", "-c", script]),
        shows,
      );
    });
  }
});

/** What the container's cgroup holds (v1). */
interface CgroupCase {
  readonly fields: string;
  readonly args: readonly string[];
  readonly controller: string;
  readonly file: string;
  readonly holds: RegExp;
}

const cgroup: readonly CgroupCase[] = [
  {
    fields: "Memory",
    args: ["-m", "64m"],
    controller: "memory",
    file: "memory.limit_in_bytes",
    holds: /^67108864$/,
  },
  {
    fields: "MemoryReservation",
    args: ["--memory-reservation", "32m"],
    controller: "memory",
    file: "memory.soft_limit_in_bytes",
    holds: /^33554432$/,
  },
  {
    fields: "MemorySwappiness",
    args: ["--memory-swappiness", "30"],
    controller: "memory",
    file: "memory.swappiness",
    holds: /^30$/,
  },
  {
    fields: "OomKillDisable",
    args: ["-m", "64m", "--oom-kill-disable"],
    controller: "memory",
    file: "memory.oom_control",
    holds: /oom_kill_disable 1/,
  },
  {
    fields: "CpuShares",
    args: ["--cpu-shares", "512"],
    controller: "cpu",
    file: "cpu.shares",
    holds: /^512$/,
  },
  {
    fields: "CpuPeriod, CpuQuota",
    args: ["--cpu-period", "50000", "--cpu-quota", "20000"],
    controller: "cpu",
    file: "cpu.cfs_quota_us",
    holds: /^20000$/,
  },
  {
    fields: "NanoCpus",
    args: ["--cpus", "1.5"],
    controller: "cpu",
    file: "cpu.cfs_quota_us",
    holds: /^150000$/,
  },
  {
    fields: "CpusetCpus",
    args: ["--cpuset-cpus", "0"],
    controller: "cpuset",
    file: "cpuset.cpus",
    holds: /^0$/,
  },
  {
    fields: "CpusetMems",
    args: ["--cpuset-mems", "0"],
    controller: "cpuset",
    file: "cpuset.mems",
    holds: /^0$/,
  },
  {
    fields: "PidsLimit",
    args: ["--pids-limit", "77"],
    controller: "pids",
    file: "pids.max",
    holds: /^77$/,
  },
  {
    fields: "DeviceCgroupRules",
    args: ["--device-cgroup-rule", "c 10:200 rw"],
    controller: "devices",
    file: "devices.list",
    holds: /^c 10:200 rw$/m,
  },
  {
    fields: "BlkioDeviceReadBps",
    args: ["--device-read-bps", "/dev/vda:1mb"],
    controller: "blkio",
    file: "blkio.throttle.read_bps_device",
    holds: /^\d+:\d+ 1048576$/m,
  },
];

describe("the kernel holds", () => {
  for (const { fields, args, controller, file, holds } of cgroup) {
    const unavailable = !existsSync(`/sys/fs/cgroup/${controller}`)
      ? `no v1 ${controller} controller here`
      : false;
    it(`HostConfig ${fields}`, { skip: unavailable }, async () => {
      const id = await engine.docker(["run", "-d", ...args, "busybox", "sleep", "1000"]);
      const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
      const line = (await readFile(`/proc/${pid}/cgroup`, "utf8"))
        .split("\n")
        .find((entry) => entry.split(":")[1]?.split(",").includes(controller) === true);
      const value = await readFile(
        `/sys/fs/cgroup/${controller}${line?.split(":")[2] ?? ""}/${file}`,
        "utf8",
      );
      await engine.docker(["rm", "-f", id]);
      assert.match(value.trim(), holds);
    });
  }
});

describe("HostConfig", () => {
  it("Binds with propagation", async () => {
    const folder = path.join(engine.root, "shared");
    await mkdir(folder);
    assert.match(
      await engine.docker([
        "run",
        "--rm",
        "-v",
        `${folder}:/b:rslave`,
        "busybox",
        "sh",
        "-c",
        "grep ' /b ' /proc/self/mountinfo",
      ]),
      / \/b rw[^-]*(master:\d+ )?-/,
    );
  });
  it("VolumesFrom", async () => {
    await engine.docker([
      "run",
      "--name",
      "giver",
      "-v",
      "/given",
      "busybox",
      "sh",
      "-c",
      "echo -n cargo > /given/f",
    ]);
    assert.equal(
      await engine.docker(["run", "--rm", "--volumes-from", "giver", "busybox", "cat", "/given/f"]),
      "cargo",
    );
    await engine.docker(["rm", "-v", "giver"]);
  });
  it("IpcMode and PidMode of another container", async () => {
    const namespaces = ["sh", "-c", "readlink /proc/self/ns/ipc; readlink /proc/self/ns/pid"];
    const id = await engine.docker(["run", "-d", "--ipc", "shareable", "busybox", "sleep", "1000"]);
    const own = await engine.docker(["exec", id, ...namespaces]);
    assert.equal(
      await engine.docker([
        "run",
        "--rm",
        "--ipc",
        `container:${id}`,
        "--pid",
        `container:${id}`,
        "busybox",
        ...namespaces,
      ]),
      own,
    );
    await engine.docker(["rm", "-f", id]);
  });
  it("NetworkMode of another container", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const own = await engine.docker(["exec", id, "readlink", "/proc/self/ns/net"]);
    assert.equal(
      await engine.docker([
        "run",
        "--rm",
        "--network",
        `container:${id}`,
        "busybox",
        "readlink",
        "/proc/self/ns/net",
      ]),
      own,
    );
    await engine.docker(["rm", "-f", id]);
  });
  it("LogConfig", async () => {
    const id = await engine.docker([
      "run",
      "-d",
      "--log-driver",
      "none",
      "busybox",
      "echo",
      "unheard",
    ]);
    await engine.docker(["wait", id]);
    const logs = await engine.tryDocker(["logs", id]);
    assert.match(logs.stderr, /configured logging driver does not support reading/);
    await engine.docker(["rm", id]);
  });
  it("is documented, every field with its test", async () => {
    const documented = await readFile(path.join(repository, "docs/hostconfig.md"), "utf8");
    const tests = await readFile(import.meta.filename, "utf8");
    const rows = documented.split("\n").filter((row) => row.startsWith("| `"));
    assert.ok(rows.length > 50, "the table is missing");
    for (const row of rows) {
      const test = row.split("|")[3]?.trim() ?? "";
      if (!test.startsWith("`")) continue;
      assert.ok(tests.includes(test.replaceAll("`", "")), `no case for ${row}`);
    }
  });
});
