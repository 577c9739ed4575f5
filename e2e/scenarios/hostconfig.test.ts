/**
 * Every option of HostConfig, read back from the kernel: by the container itself from /proc,
 * or by the test from the container's cgroup. docs/hostconfig.md names the case of each field.
 */
import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rmdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { mustRun } from "@gantry/testkit/run";
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

/** A whole disk of this machine, which throttles can be set on. */
interface Disk {
  readonly path: string;
  /** `254:0`. */
  readonly number: string;
}

function findDisk(): Disk | undefined {
  for (const name of readdirSync("/sys/block")) {
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
    for (const line of own) assert.equal(line.split(":")[2], `/${parent}/inner/${id}`);
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

describe("HostConfig", () => {
  it("Binds with propagation", async () => {
    const folder = path.join(engine.root, "shared");
    await mkdir(folder);
    await mustRun(["mount", "-t", "tmpfs", "shared", folder]);
    try {
      await mustRun(["mount", "--make-shared", folder]);
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
        / \/b rw[^-]*master:\d+ -/,
      );
    } finally {
      await mustRun(["umount", folder]);
    }
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
  it("Links", async () => {
    await engine.docker(["run", "-d", "--name", "lighthouse", "busybox", "sleep", "1000"]);
    const address = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
    const ip = await engine.docker(["inspect", "-f", address, "lighthouse"]);
    const lines = await engine.docker([
      ...["run", "--rm", "--name", "ship", "--link", "lighthouse:light", "busybox"],
      ...[
        "sh",
        "-c",
        "cat /etc/hosts; nslookup light >/dev/null 2>&1; ping -c1 -W2 light | head -1",
      ],
    ]);
    assert.match(lines, new RegExp(`^${ip}\\s+light [0-9a-f]{12} lighthouse$`, "m"));
    assert.match(lines, new RegExp(`PING light \\(${ip}\\)`));
    const ship = await engine.docker([
      "create",
      "--name",
      "ship",
      "--link",
      "lighthouse",
      "busybox",
    ]);
    const links = ["inspect", "-f", "{{.HostConfig.Links}}", ship];
    assert.equal(await engine.docker(links), "[/lighthouse:/ship/lighthouse]");
    await engine.docker(["rm", ship]);
    await engine.docker(["rm", "-f", "lighthouse"]);
  });
  it("PublishAllPorts", async () => {
    const exposed = ["--expose", "8000", "--expose", "53/udp"];
    const id = await engine.docker([
      ...["run", "-d", "-P", ...exposed, "busybox"],
      ...["sh", "-c", "echo berthed > /f; httpd -f -p 8000 -h /"],
    ]);
    const ports = await engine.docker(["port", id]);
    assert.match(ports, /^53\/udp -> 0\.0\.0\.0:\d+$/m);
    const [, port] = /^8000\/tcp -> 0\.0\.0\.0:(\d+)$/m.exec(ports) ?? [];
    await eventually(async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/f`);
      assert.equal(await answer.text(), "berthed\n");
      return true;
    });
    await engine.docker(["rm", "-f", id]);
  });
  it("has /.dockerenv, and no file of ours in diff and commit", async () => {
    const script = "test -f /.dockerenv && readlink /etc/mtab && touch /mine";
    await engine.docker(["run", "--name", "marked", "busybox", "sh", "-c", script]);
    assert.equal(await engine.docker(["diff", "marked"]), "A /mine");
    await engine.docker(["commit", "marked", "marked-image"]);
    const layer = await engine.docker([
      "run",
      "--rm",
      "marked-image",
      "ls",
      "/mine",
      "/.dockerenv",
    ]);
    assert.equal(layer, "/.dockerenv\n/mine");
    await engine.docker(["rm", "marked"]);
    await engine.docker(["rmi", "marked-image"]);
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
