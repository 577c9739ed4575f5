/** Limits of HostConfig, read back by the test from the container's cgroup. docs/hostconfig.md names the case of each field. */
import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { readFile, rmdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** A whole disk of this machine, which throttles can be set on. */
interface Disk {
  readonly path: string;
  /** `254:0`. */
  readonly number: string;
}

/** One that stays: another test's loop device may be there at one moment and not at the next. */
function findDisk(): Disk | undefined {
  for (const name of readdirSync("/sys/block").filter((each) => !each.startsWith("loop"))) {
    const device = `/dev/${name}`;
    const sectors = Number(readFileSync(`/sys/block/${name}/size`, "utf8"));
    if (sectors === 0 || !existsSync(device)) continue;
    return { path: device, number: readFileSync(`/sys/block/${name}/dev`, "utf8").trim() };
  }
  return undefined;
}

const disk = findDisk();

/** A file of the container's cgroup, and what is in it. */
interface CgroupFile {
  readonly file: string;
  readonly holds: RegExp;
}

/** What the container's cgroup holds: the file of v1, and that of v2 where it has one. */
interface CgroupCase extends CgroupFile {
  readonly fields: string;
  readonly args: readonly string[];
  readonly controller: string;
  readonly v2?: CgroupFile;
}

const unified = existsSync("/sys/fs/cgroup/cgroup.controllers");

const cgroup: readonly CgroupCase[] = [
  {
    fields: "Memory",
    args: ["-m", "64m"],
    controller: "memory",
    file: "memory.limit_in_bytes",
    holds: /^67108864$/,
    v2: { file: "memory.max", holds: /^67108864$/ },
  },
  {
    fields: "MemoryReservation",
    args: ["--memory-reservation", "32m"],
    controller: "memory",
    file: "memory.soft_limit_in_bytes",
    holds: /^33554432$/,
    v2: { file: "memory.low", holds: /^33554432$/ },
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
    v2: { file: "cpu.weight", holds: /^20$/ },
  },
  {
    fields: "CpuPeriod, CpuQuota",
    args: ["--cpu-period", "50000", "--cpu-quota", "20000"],
    controller: "cpu",
    file: "cpu.cfs_quota_us",
    holds: /^20000$/,
    v2: { file: "cpu.max", holds: /^20000 50000$/ },
  },
  {
    fields: "NanoCpus",
    args: ["--cpus", "1.5"],
    controller: "cpu",
    file: "cpu.cfs_quota_us",
    holds: /^150000$/,
    v2: { file: "cpu.max", holds: /^150000 100000$/ },
  },
  {
    fields: "CpusetCpus",
    args: ["--cpuset-cpus", "0"],
    controller: "cpuset",
    file: "cpuset.cpus",
    holds: /^0$/,
    v2: { file: "cpuset.cpus", holds: /^0$/ },
  },
  {
    fields: "CpusetMems",
    args: ["--cpuset-mems", "0"],
    controller: "cpuset",
    file: "cpuset.mems",
    holds: /^0$/,
    v2: { file: "cpuset.mems", holds: /^0$/ },
  },
  {
    fields: "PidsLimit",
    args: ["--pids-limit", "77"],
    controller: "pids",
    file: "pids.max",
    holds: /^77$/,
    v2: { file: "pids.max", holds: /^77$/ },
  },
  {
    fields: "DeviceCgroupRules",
    args: ["--device-cgroup-rule", "c 10:229 rw"],
    controller: "devices",
    file: "devices.list",
    holds: /^c 10:229 rw$/m,
  },
  {
    fields: "MemorySwap",
    args: ["-m", "64m", "--memory-swap", "96m"],
    controller: "memory",
    file: "memory.memsw.limit_in_bytes",
    holds: /^100663296$/,
    v2: { file: "memory.swap.max", holds: /^33554432$/ },
  },
  {
    fields: "MemorySwap (twice the memory by default)",
    args: ["-m", "64m"],
    controller: "memory",
    file: "memory.memsw.limit_in_bytes",
    holds: /^134217728$/,
    v2: { file: "memory.swap.max", holds: /^67108864$/ },
  },
  ...(disk === undefined ? [] : throttles(disk)),
];

/** The four throttles of a disk. */
function throttles({ path: device, number }: Disk): CgroupCase[] {
  const rates = [
    ["BlkioDeviceReadBps", "--device-read-bps", "1mb", "read_bps", "1048576", "rbps"],
    ["BlkioDeviceWriteBps", "--device-write-bps", "2mb", "write_bps", "2097152", "wbps"],
    ["BlkioDeviceReadIOps", "--device-read-iops", "300", "read_iops", "300", "riops"],
    ["BlkioDeviceWriteIOps", "--device-write-iops", "400", "write_iops", "400", "wiops"],
  ] as const;
  return rates.map(([fields, option, rate, file, value, word]) => ({
    fields,
    args: [option, `${device}:${rate}`],
    controller: "blkio",
    file: `blkio.throttle.${file}_device`,
    holds: new RegExp(`^${number} ${value}$`, "m"),
    v2: { file: "io.max", holds: new RegExp(`^${number} .*\\b${word}=${value}\\b`, "m") },
  }));
}

/** Where a process is in the hierarchy that has a controller. */
async function cgroupOf(pid: string, controller: string): Promise<string> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, "utf8")).split("\n");
  if (unified) return `/sys/fs/cgroup${lines[0]?.split(":")[2] ?? ""}`;
  const line = lines.find((each) => each.split(":")[1]?.split(",").includes(controller) === true);
  return `/sys/fs/cgroup/${controller}${line?.split(":")[2] ?? ""}`;
}

/** Whether this machine mounts a hierarchy; the kernel goes on listing one that nobody mounts any more. */
function isMounted(controllers: string): boolean {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return mounts.some((line) => {
    const [type, , options = ""] = line.split(" - ")[1]?.split(" ") ?? [];
    if (controllers === "") return type === "cgroup2";
    const held = options.split(",");
    return type === "cgroup" && controllers.split(",").every((each) => held.includes(each));
  });
}

describe("the kernel holds", () => {
  for (const { fields, args, controller, v2, ...v1 } of cgroup) {
    const wanted = unified ? v2 : v1;
    // Without a controller of v1 there is only the field's warning to see: another test does.
    if (wanted === undefined) continue;
    const unavailable =
      !unified && !existsSync(`/sys/fs/cgroup/${controller}`)
        ? `no v1 ${controller} controller here`
        : false;
    it(`HostConfig ${fields}`, { skip: unavailable }, async () => {
      const id = await engine.docker(["run", "-d", ...args, "busybox", "sleep", "1000"]);
      const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
      const folder = await cgroupOf(pid, controller);
      const value = await readFile(path.join(folder, wanted.file), "utf8");
      await engine.docker(["rm", "-f", id]);
      assert.match(value.trim(), wanted.holds);
    });
  }
  it("HostConfig MemorySwappiness and OomKillDisable, or Docker's warnings", async () => {
    const options = ["-m", "64m", "--memory-swappiness", "30", "--oom-kill-disable"];
    const made = await engine.tryDocker(["create", ...options, "busybox"]);
    assert.equal(made.code, 0, made.stderr);
    await engine.docker(["rm", made.stdout.trim()]);
    if (!unified) return;
    assert.match(made.stderr, /memory swappiness .*Memory swappiness discarded\./);
    assert.match(made.stderr, /OomKillDisable discarded\./);
  });
  it("HostConfig CgroupParent, in every hierarchy", async () => {
    const parent = `gantry-parent-${process.pid}`;
    const options = ["--cgroup-parent", `${parent}/inner`];
    const id = await engine.docker(["run", "-d", ...options, "busybox", "sleep", "1000"]);
    const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
    const own = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
    await engine.docker(["rm", "-f", id]);
    const folders = globSync(`/sys/fs/cgroup/{*/,}${parent}/inner`);
    for (const folder of folders) await rmdir(folder);
    for (const folder of folders) await rmdir(path.dirname(folder));
    assert.ok(folders.length > 0);
    const visible = own.filter((line) => isMounted(line.split(":")[1] ?? ""));
    assert.ok(visible.length > 0);
    for (const line of visible) assert.equal(line.split(":")[2], `/${parent}/inner/${id}`);
  });
  it("HostConfig Privileged: an engine in the container makes cgroups, exec and restart go on, and nothing is left", async () => {
    const nested = [
      "cd /sys/fs/cgroup",
      "if [ -e cgroup.controllers ]",
      "then mkdir init && echo 1 >init/cgroup.procs && echo +pids >cgroup.subtree_control && mkdir docker",
      "else mkdir -p devices/docker/inner && echo 1 >devices/docker/inner/cgroup.procs",
      "fi && echo ready",
      "sleep 1000",
    ].join("\n");
    const options = ["--privileged", "--stop-signal", "KILL"];
    const id = await engine.docker(["run", "-d", ...options, "busybox", "sh", "-c", nested]);
    const ready = async (times: number): Promise<void> => {
      await eventually(
        async () => (await engine.docker(["logs", id])) === "ready\n".repeat(times).trim(),
      );
    };
    await ready(1);
    assert.equal(await engine.docker(["exec", id, "echo", "inside"]), "inside");
    await engine.docker(["restart", id]);
    await ready(2);
    await engine.docker(["kill", id]);
    await engine.docker(["wait", id]);
    assert.deepEqual(globSync(`/sys/fs/cgroup/{*/,}*/${id}`), []);
    await engine.docker(["rm", id]);
  });
  it("HostConfig BlkioWeight, or Docker's warning", async () => {
    const weighed = await engine.tryDocker(["create", "--blkio-weight", "300", "busybox"]);
    const id = weighed.stdout.trim();
    const weight = await engine.docker(["inspect", "-f", "{{.HostConfig.BlkioWeight}}", id]);
    await engine.docker(["rm", id]);
    // The root of v2 has no weight, its children have.
    const known =
      globSync("/sys/fs/cgroup/{blkio/,*/}{blkio,io,blkio.bfq,io.bfq}.weight").length > 0;
    if (known) assert.equal(weight, "300");
    else {
      assert.match(weighed.stderr, /does not support Block I\/O weight .*Weight discarded\./);
      assert.equal(weight, "0");
    }
  });
});

describe("a limit that cannot be kept", () => {
  const tooManyPids = ["--pids-limit", "99999999999"];
  const refusedWrite =
    /failed to write "99999999999": write \/sys\/fs\/cgroup\/.*pids\.max: invalid argument/;

  const refusedStart = async (options: readonly string[], why: RegExp): Promise<void> => {
    const { code, stderr } = await engine.tryDocker(["run", "--rm", ...options, "busybox"]);
    assert.equal(code, 125);
    assert.match(stderr, /: error setting cgroup config for procHooks process: /);
    assert.match(stderr, why);
    assert.equal(await engine.docker(["ps", "-aq", "-f", "status=created"]), "");
  };
  const refusedUpdate = async (
    id: string,
    options: readonly string[],
    why: RegExp,
  ): Promise<void> => {
    const { code, stderr } = await engine.tryDocker(["update", ...options, id]);
    assert.equal(code, 1);
    const beginning = `Error response from daemon: Cannot update container ${id}: runc did not terminate successfully: exit status 1: `;
    assert.ok(stderr.startsWith(beginning), stderr);
    assert.match(stderr.slice(beginning.length), why);
  };

  it("fails the start in Docker's words", async () => {
    await refusedStart(tooManyPids, refusedWrite);
  });

  it("fails the update in Docker's words, and the container has what it had", async () => {
    const id = await engine.docker(["run", "-d", "--pids-limit", "50", "busybox", "sleep", "1000"]);
    await refusedUpdate(id, tooManyPids, refusedWrite);
    const limit = await engine.docker(["inspect", "-f", "{{.HostConfig.PidsLimit}}", id]);
    assert.equal(limit, "50");
    await engine.docker(["rm", "-f", id]);
  });

  if (unified) return boundsOfV2();

  it("is told of where v1 would bound it without a word", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    for (const [shares, why] of [
      ["1", /the minimum allowed cpu-shares is 2/],
      ["262145", /the maximum allowed cpu-shares is 262144/],
    ] as const) {
      await refusedUpdate(id, ["--cpu-shares", shares], why);
      await refusedStart(["--cpu-shares", shares], why);
    }
    assert.equal(await engine.docker(["inspect", "-f", "{{.HostConfig.CpuShares}}", id]), "0");
    await engine.docker(["rm", "-f", id]);
  });

  it("is told of with what is in use, where memory cannot be given back", async () => {
    const fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=32 && echo full && sleep 1000";
    const limits = ["-m", "64m", "--memory-swap", "128m"];
    const id = await engine.docker(["run", "-d", ...limits, "busybox", "sh", "-c", fill]);
    await eventually(async () => (await engine.docker(["logs", id])).includes("full"));
    await refusedUpdate(
      id,
      ["-m", "6m", "--memory-swap", "12m"],
      /unable to set memory limit to 6291456 \(current usage: \d{8}, peak usage: \d{8}\)/,
    );
    await engine.docker(["rm", "-f", id]);
  });
});

/** v2 has weights, which shares of any size become. */
function boundsOfV2(): void {
  it("becomes the nearest that v2 has", async () => {
    for (const [shares, weight] of [
      ["1", "1"],
      ["262145", "10000"],
    ] as const) {
      const options = ["--cpu-shares", shares];
      const id = await engine.docker(["run", "-d", ...options, "busybox", "sleep", "1000"]);
      const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
      const file = path.join(await cgroupOf(pid, "cpu"), "cpu.weight");
      assert.equal((await readFile(file, "utf8")).trim(), weight);
      await engine.docker(["rm", "-f", id]);
    }
  });
}
