/** Cgroups of a container, in the hierarchies that the machine has. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { eventually, hasEnded } from "@gantry/testkit";
import { cgroupName, cgroupRoot, cgroups, leftCgroups, unified, v1 } from "./shim-cgroup-dirs.ts";
import { holds, Playground } from "./shim-driver.ts";
import { ms, ns, type PlanInit, processOf, standardMounts } from "./shim-plan.ts";

const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });
const logged = (playground: Playground): string =>
  playground
    .log()
    .map((record) => record.log)
    .join("");

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean)
    .map(Number);

describe("cgroups", () => {
  it("are made, entered by every process, and removed", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("sleep 100 & sleep 100"),
      cgroup: cgroups({ memory: "104857600" }),
    });
    const { pid } = await shim.message("started");
    await shim.request({
      case: "exec",
      value: { execId: "one", process: processOf(["sleep", "100"]) },
    });
    const ended = await shim.message("execStarted");
    for (const process of [pid, ended.pid]) {
      const own = readFileSync(`/proc/${process}/cgroup`, "utf8")
        .split("\n")
        .filter((line) => line.endsWith(`/${cgroupName}`));
      assert.equal(own.length, cgroups().dirs?.length);
    }
    if (v1("pids") !== undefined)
      assert.equal(readFileSync(join(cgroupRoot, "pids", cgroupName, "pids.max"), "utf8"), "77\n");
    if (v1("memory") !== undefined)
      assert.equal(
        readFileSync(join(cgroupRoot, "memory", cgroupName, "memory.limit_in_bytes"), "utf8"),
        "104857600\n",
      );
    await shim.request({ case: "signal", value: { signal: 9 } });
    await shim.message("exited");
    assert.deepEqual(leftCgroups(), []);
  });

  it("are removed after a failed start", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ process: processOf(["nope"]), cgroup: cgroups() });
    await shim.message("startFailed");
    await shim.exitOfProcess();
    assert.deepEqual(leftCgroups(), []);
  });

  it("name the write that was refused", async () => {
    await using playground = await Playground.make();
    const plan = cgroups();
    const shim = playground.launch({
      ...sh("true"),
      cgroup: {
        ...plan,
        dirs: [
          {
            path: join(unified, cgroupName),
            remove: true,
            writes: [
              { file: "no.such", value: "1", optional: true },
              { file: "cgroup.procs", value: "nonsense" },
            ],
          },
        ],
      },
    });
    const failed = await shim.message("startFailed");
    assert.equal(failed.step, "cgroup");
    assert.match(
      failed.message,
      /: failed to write "nonsense": write \/.*\/cgroup\.procs: invalid argument$/,
    );
    await shim.exitOfProcess();
    assert.deepEqual(leftCgroups(), []);
  });

  it("are the root of the container's cgroup namespace", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("cat /proc/self/cgroup; ls /cg | grep -c cgroup.procs; cat /cg/cgroup.procs | head -1"),
      cgroup: cgroups(),
      namespaces: [ns.mount, ns.pid, ns.cgroup].map((cloneFlag) => ({ cloneFlag })),
      hostname: "",
      mounts: [
        ...standardMounts,
        { destination: "/cg", type: "cgroup2", source: "cgroup", flags: ms.rdonly },
      ],
    });
    await shim.message("exited");
    const lines = playground.log().map((record) => record.log.trim());
    assert.ok(lines.includes("0::/"));
    assert.deepEqual(lines.slice(-2), ["1", "1"]);
  });

  it("are killed whole at the end when processes share the host's PID namespace", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh(
        "(trap '' TERM HUP; sleep 1000) & (setsid sleep 1000 &) ; sleep 0.1; cat /proc/self/cgroup >/dev/null",
      ),
      namespaces: [{ cloneFlag: ns.mount }],
      hostname: "",
      maskedPaths: [],
      readonlyPaths: [],
      cgroup: cgroups(),
      killCgroupOnExit: true,
    });
    assert.equal((await shim.message("exited")).exitCode, 0);
    assert.deepEqual(leftCgroups(), []);
    await shim.exitOfProcess();
  });

  it("are removed with those that the container has made below them", async () => {
    await using playground = await Playground.make();
    const cgroup = cgroups();
    const shim = playground.launch({ ...sh("sleep 100"), cgroup });
    await shim.message("started");
    for (const { path = "" } of cgroup.dirs ?? []) {
      for (const below of ["system.slice/a", "system.slice/b", "docker", "deep/".repeat(60)])
        mkdirSync(join(path, below), { recursive: true });
    }
    await shim.request({ case: "signal", value: { signal: 9 } });
    await shim.message("exited");
    assert.deepEqual(leftCgroups(), []);
  });

  it("are killed with those below them where cgroup.kill is not to be had", async () => {
    await using playground = await Playground.make();
    const { dirs = [] } = cgroups();
    const shim = playground.launch({
      ...sh("sleep 100 & wait"),
      namespaces: [{ cloneFlag: ns.mount }],
      hostname: "",
      maskedPaths: [],
      readonlyPaths: [],
      cgroup: { dirs: dirs.map((dir) => ({ ...dir, attach: true })) },
      killCgroupOnExit: true,
    });
    const { pid } = await shim.message("started");
    await holds(() => childrenOf(pid).length === 1);
    const [first = 0] = childrenOf(pid);
    for (const { path = "" } of dirs) {
      mkdirSync(join(path, "a/b"), { recursive: true });
      writeFileSync(join(path, "a/b/cgroup.procs"), String(first));
    }
    assert.equal(hasEnded(first), false);
    process.kill(pid, "SIGKILL");
    await shim.message("exited");
    assert.deepEqual(leftCgroups(), []);
    await holds(() => hasEnded(first));
  });

  it("carry a device program", async () => {
    await using playground = await Playground.make();
    // Refuses every device of minor number 7 (/dev/full): r2 = ctx->minor; if (r2 != 7) return 1; return 0.
    const deviceProgram = new Uint8Array(
      [
        [0x61, 0x12, 8, 0, 0],
        [0x55, 0x02, 2, 0, 7],
        [0xb7, 0, 0, 0, 0],
        [0x95, 0, 0, 0, 0],
        [0xb7, 0, 0, 0, 1],
        [0x95, 0, 0, 0, 0],
      ].flatMap((instruction) => [...instruction, 0, 0, 0]),
    );

    const shim = playground.launch({ process: processOf(["sleep", "100"]), cgroup: cgroups() });
    await shim.message("started");
    assert.equal(
      (await shim.exec(["sh", "-c", "echo x > /dev/full"])).output.includes("No space left"),
      true,
    );
    await shim.request({ case: "signal", value: { signal: 9 } });
    await shim.exitOfProcess();
    const closed = playground.launch({
      process: processOf(["sh", "-c", "echo x > /dev/full"]),
      cgroup: { ...cgroups(), deviceProgram },
    });
    const failed = closed.message("startFailed").then((value) => assert.fail(value.message));
    await Promise.race([closed.message("exited"), failed]);
    failed.catch(() => undefined);
    assert.match(logged(playground), /Operation not permitted/);
  });

  it("are thawed for a SIGKILL", async () => {
    const freezer = v1("freezer");
    await using playground = await Playground.make();
    const shim = playground.launch({ ...sh("sleep 1000"), cgroup: cgroups() });
    await shim.message("started");
    if (freezer !== undefined) writeFileSync(join(freezer, cgroupName, "freezer.state"), "FROZEN");
    else writeFileSync(join(unified, cgroupName, "cgroup.freeze"), "1");
    await shim.request({ case: "signal", value: { signal: 15 } });
    await shim.request({ case: "signal", value: { signal: 9 } });
    assert.equal((await shim.message("exited")).signal, 9);
  });

  it("are signalled as a whole", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh(
        "trap 'exit 3' USR1; (trap 'echo child' USR1; sleep 1 & wait) & while true; do sleep 0.05; done",
      ),
      cgroup: cgroups(),
    });
    await shim.message("started");
    await holds(
      () => readFileSync(join(unified, cgroupName, "cgroup.procs"), "utf8").split("\n").length > 3,
    );
    await shim.request({ case: "signal", value: { signal: 9, all: true } });
    assert.equal((await shim.message("exited")).exitCode, 137);
  });

  it("tell of a kill for memory before the exit", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("dd if=/dev/zero of=/dev/shm/x bs=1M count=60; tail /dev/zero"),
      cgroup: cgroups({ memory: "20971520" }),
    });
    const exited = await shim.message("exited");
    assert.equal(exited.oomKilled, true);
    assert.equal(exited.exitCode, 137);
    assert.equal(shim.exitRecord()["oomKilled"], true);
    const order = shim.messages.map(({ message }) => message.case);
    assert.ok(order.includes("oom") && order.indexOf("oom") < order.indexOf("exited"));
  });

  it("tell that memory is short where the kernel may not kill for it", async (t) => {
    if (v1("memory") === undefined) {
      t.skip("cgroup v2 has no such switch");
      return;
    }
    await using playground = await Playground.make();
    const cgroup = cgroups({ memory: "20971520", mayKill: false });
    // It grows by its own writes: a system call that finds no memory would fail instead.
    const shim = playground.launch({ ...sh("x=a; while :; do x=$x$x$x$x; done"), cgroup });
    await shim.message("oom");
    await shim.request({ case: "signal", value: { signal: 9, all: true } });
    assert.equal((await shim.message("exited")).exitCode, 137);
  });

  it("hold a first process that was killed until all are dead, and an exec meanwhile meets its end", async (t) => {
    const freezer = v1("freezer");
    if (freezer === undefined) {
      t.skip("cgroup v2 kills what is frozen");
      return;
    }
    await using playground = await Playground.make();
    const shim = playground.launch({ ...sh("sleep 100 & sleep 100"), cgroup: cgroups() });
    const { pid } = await shim.message("started");
    const [child = 0] = await eventually(() => {
      const children = childrenOf(pid);
      return children.length > 0 && children;
    });
    const held = join(cgroupRoot, "freezer", cgroupName, "held");
    mkdirSync(held);
    writeFileSync(join(held, "cgroup.procs"), String(child));
    writeFileSync(join(held, "freezer.state"), "FROZEN");
    await holds(() => readFileSync(join(held, "freezer.state"), "utf8") === "FROZEN\n");
    try {
      process.kill(pid, "SIGKILL");
      await holds(() => readdirSync(`/proc/${pid}/fd`).length === 0);
      const value = { execId: "one", process: processOf(["true"]) };
      const answer = await shim.request({ case: "exec", value });
      assert.ok(answer.case === "error");
      assert.deepEqual([answer.value.code, answer.value.exitCode], ["gone", 0]);
      const { output } = await shim.exec(["true"]);
      assert.match(output, /^container \S+ is not running\r\n$/);
    } finally {
      writeFileSync(join(held, "freezer.state"), "THAWED");
    }
    assert.equal((await shim.message("exited")).exitCode, 137);
    assert.deepEqual(leftCgroups(), []);
  });

  it("do not call a kill by a user one for memory", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ ...sh("sleep 100"), cgroup: cgroups({ memory: "20971520" }) });
    await shim.message("started");
    await shim.request({ case: "signal", value: { signal: 9 } });
    const exited = await shim.message("exited");
    assert.deepEqual([exited.exitCode, exited.oomKilled], [137, false]);
  });
});
