/**
 * What differs where cgroup v2 is all there is; run by `npm run test:cgroup2` in a virtual machine with Debian's
 * kernel. The file's name keeps it from the tests of this machine.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  assert.ok(existsSync("/sys/fs/cgroup/cgroup.controllers"), "this is for cgroup v2 alone");
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** A GET of the API as parsed JSON. */
async function get(url: string): Promise<Record<string, unknown>> {
  const socketPath = engine.dockerHost.replace("unix://", "");
  return await new Promise((resolve, reject) => {
    http
      .get({ socketPath, path: url }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => {
          resolve(JSON.parse(Buffer.concat(chunks).toString()));
        });
      })
      .on("error", reject);
  });
}

async function folderOf(id: string): Promise<string> {
  const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
  const [line = ""] = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
  return `/sys/fs/cgroup${line.split(":")[2] ?? ""}`;
}

async function sleeper(...options: string[]): Promise<string> {
  return await engine.docker(["run", "-d", ...options, "busybox", "sleep", "1000"]);
}

const shell = (...args: string[]): string[] => [
  ...args.slice(0, -1),
  "busybox",
  "sh",
  "-c",
  args.at(-1) ?? "",
];

describe("on cgroup v2", () => {
  it("the engine says so", async () => {
    const info = await get("/info");
    assert.equal(info["CgroupVersion"], "2");
    assert.ok((info["SecurityOptions"] as string[]).includes("name=cgroupns"));
    for (const field of [
      "MemoryLimit",
      "SwapLimit",
      "CpuCfsQuota",
      "CPUShares",
      "CPUSet",
      "PidsLimit",
    ])
      assert.equal(info[field], true, field);
    assert.equal(info["OomKillDisable"], false);
  });

  it("a container has a cgroup namespace of its own and sees one hierarchy, read-only", async () => {
    const script =
      "cat /proc/self/cgroup; grep -c cgroup2 /proc/self/mounts; mkdir /sys/fs/cgroup/x; echo $?; ls /sys/fs/cgroup/pids.max";
    const seen = await engine.tryDocker(["run", "--rm", ...shell(script)]);
    assert.equal(seen.stdout, "0::/\n1\n1\n/sys/fs/cgroup/pids.max\n");
    const id = await sleeper();
    assert.equal(
      await engine.docker(["inspect", "-f", "{{.HostConfig.CgroupnsMode}}", id]),
      "private",
    );
    await engine.docker(["rm", "-f", id]);
  });

  it("pause freezes the whole cgroup, and stop of a paused container ends it", async () => {
    const id = await sleeper();
    const folder = await folderOf(id);
    const frozen = (): boolean =>
      readFileSync(path.join(folder, "cgroup.events"), "utf8").includes("frozen 1");
    await engine.docker(["pause", id]);
    assert.ok(frozen());
    await engine.docker(["unpause", id]);
    assert.ok(!frozen());
    await engine.docker(["pause", id]);
    await engine.docker(["kill", id]);
    await engine.docker(["wait", id]);
    assert.ok(!existsSync(folder));
    await engine.docker(["rm", id]);
  });

  it("tells of memory that ran out before the end", async () => {
    const id = await engine.docker([
      "create",
      "-m",
      "16m",
      "--memory-swap",
      "16m",
      ...shell("tail /dev/zero"),
    ]);
    await engine.docker(["start", id]);
    assert.equal(await engine.docker(["wait", id]), "137");
    assert.equal(await engine.docker(["inspect", "-f", "{{.State.OOMKilled}}", id]), "true");
    const actions = await engine.docker([
      ...["events", "--since", "0", "--until", String(Math.floor(Date.now() / 1000) + 1)],
      ...["--filter", `container=${id}`, "--format", "{{.Action}}"],
    ]);
    const told = actions.split("\n");
    assert.ok(told.includes("oom") && told.indexOf("oom") < told.indexOf("die"), actions);
    await engine.docker(["rm", id]);
  });

  it("devices are kept away by a program, and let in by rules", async () => {
    const use =
      "mknod /tmp/fuse c 10 229; head -c1 /tmp/fuse; echo read $?; echo x >/tmp/fuse; echo write $?";
    const denied = await engine.tryDocker(["run", "--rm", ...shell(use)]);
    assert.match(denied.stderr, /Operation not permitted/);
    // A fuse device that nobody mounted with refuses to be read, but not to be opened.
    const readable = await engine.tryDocker([
      "run",
      "--rm",
      "--device-cgroup-rule",
      "c 10:229 r",
      ...shell(use),
    ]);
    assert.match(readable.stderr, /can't create \/tmp\/fuse: Operation not permitted/);
    assert.doesNotMatch(readable.stderr, /head: .*Operation not permitted/);
    const all = await engine.tryDocker(["run", "--rm", "--privileged", ...shell(use)]);
    assert.doesNotMatch(all.stderr, /can't create|head: \/tmp\/fuse: Operation not permitted$/m);
    const zero = await engine.docker(["run", "--rm", ...shell("head -c3 /dev/zero | wc -c")]);
    assert.equal(zero, "3");
  });

  it("limits change while a container runs", async () => {
    const id = await sleeper("-m", "64m");
    const folder = await folderOf(id);
    await engine.docker([
      ...["update", "-m", "128m", "--memory-swap", "256m", "--cpus", "0.5", "--pids-limit", "33"],
      ...["--cpu-shares", "2048", id],
    ]);
    const file = (name: string): string => readFileSync(path.join(folder, name), "utf8").trim();
    assert.equal(file("memory.max"), "134217728");
    assert.equal(file("memory.swap.max"), "134217728");
    assert.equal(file("cpu.max"), "50000 100000");
    assert.equal(file("pids.max"), "33");
    assert.equal(file("cpu.weight"), "79");
    await engine.docker(["rm", "-f", id]);
  });

  it("stats have the shape that clients expect of v2", async () => {
    const id = await sleeper("-m", "64m", "--pids-limit", "50");
    const stats = (await get(`/containers/${id}/stats?stream=0&one-shot=1`)) as Record<string, any>;
    assert.deepEqual(Object.keys(stats["memory_stats"]).toSorted(), ["limit", "stats", "usage"]);
    assert.equal(stats["memory_stats"].limit, 67108864);
    for (const key of [
      "anon",
      "file",
      "inactive_file",
      "slab",
      "pgfault",
      "workingset_refault_anon",
    ])
      assert.equal(typeof stats["memory_stats"].stats[key], "number", key);
    assert.equal(stats["cpu_stats"].cpu_usage.percpu_usage, undefined);
    assert.ok(stats["cpu_stats"].cpu_usage.total_usage > 0);
    assert.equal(stats["pids_stats"].limit, 50);
    assert.equal(stats["blkio_stats"].io_serviced_recursive, null);
    await engine.docker(["rm", "-f", id]);
  });

  it("a bomb of processes is stopped by its limit, and killed with its container", async () => {
    const id = await engine.docker([
      ...["run", "-d", "--pids-limit", "20"],
      // A shell that cannot fork ends; the container stays.
      ...shell("sh -c 'while :; do sleep 1000 & done' 2>/dev/null; exec sleep 1000"),
    ]);
    const folder = await folderOf(id);
    await eventually(() => readFileSync(path.join(folder, "pids.events"), "utf8") !== "max 0\n");
    await engine.docker(["rm", "-f", id]);
    assert.ok(!existsSync(folder));
  });
});
