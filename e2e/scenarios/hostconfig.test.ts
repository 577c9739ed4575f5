/**
 * Options of HostConfig, read back from the kernel by the container itself; limits are in
 * hostconfig-cgroup.test.ts. docs/hostconfig.md names the case of each field.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
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

const makeCgroup =
  "d=/sys/fs/cgroup; [ -e $d/cgroup.procs ] || d=$d/pids; mkdir $d/own 2>&1 && rmdir $d/own && echo made; true";

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
    fields: "SecurityOpt writable-cgroups",
    args: ["--security-opt", "writable-cgroups=true"],
    script: makeCgroup,
    shows: /^made$/,
  },
  {
    fields: "SecurityOpt writable-cgroups (denied)",
    args: ["--security-opt", "writable-cgroups=false"],
    script: makeCgroup,
    shows: /Read-only file system/,
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
    const files = globSync(path.join(import.meta.dirname, "hostconfig*.test.ts"));
    const tests = files.map((file) => readFileSync(file, "utf8")).join("");
    const rows = documented.split("\n").filter((row) => row.startsWith("| `"));
    assert.ok(rows.length > 50, "the table is missing");
    for (const row of rows) {
      const test = row.split("|")[3]?.trim() ?? "";
      if (!test.startsWith("`")) continue;
      assert.ok(tests.includes(test.replaceAll("`", "")), `no case for ${row}`);
    }
  });
});
