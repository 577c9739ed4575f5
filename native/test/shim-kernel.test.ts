import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { startNats } from "@gantry/testkit";
import {
  type CgroupInit,
  type HookInit,
  holds,
  kernel,
  ms,
  ns,
  type PlanInit,
  Playground,
  processOf,
  standardMounts,
} from "./shim-driver.ts";

const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });
const cgroupRoot = "/sys/fs/cgroup";
const unified = existsSync(`${cgroupRoot}/unified`) ? `${cgroupRoot}/unified` : cgroupRoot;
const v1 = (controller: string): string | undefined =>
  existsSync(`${cgroupRoot}/${controller}/cgroup.procs`)
    ? `${cgroupRoot}/${controller}`
    : undefined;
const name = `gantry-shim-test-${process.pid}`;
const interfaceName = `gtryt${process.pid % 100000}`;

/** Directories of one test container in the hierarchies that this machine has, with a memory limit. */
function cgroups(extra: { memory?: string } = {}): CgroupInit {
  const memory = v1("memory");
  const pids = v1("pids");
  const freezer = v1("freezer");
  const dirs = [
    {
      path: join(unified, name),
      remove: true,
      attach: false,
      writes:
        memory === undefined && extra.memory !== undefined
          ? [{ file: "memory.max", value: extra.memory }]
          : [],
    },
  ];
  if (memory !== undefined)
    dirs.push({
      path: join(memory, name),
      remove: true,
      attach: true,
      writes:
        extra.memory === undefined ? [] : [{ file: "memory.limit_in_bytes", value: extra.memory }],
    });
  if (pids !== undefined)
    dirs.push({
      path: join(pids, name),
      remove: true,
      attach: true,
      writes: [{ file: "pids.max", value: "77" }],
    });
  if (freezer !== undefined)
    dirs.push({ path: join(freezer, name), remove: true, attach: true, writes: [] });
  return {
    dirs,
    v2Dir: join(unified, name),
    ...(memory === undefined ? {} : { oomDir: join(memory, name) }),
  };
}

function leftCgroups(): string[] {
  return [unified, v1("memory"), v1("pids"), v1("freezer")].filter(
    (root) => root !== undefined && existsSync(join(root, name)),
  ) as string[];
}

const logged = (playground: Playground): string =>
  playground
    .log()
    .map((record) => record.log)
    .join("");

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
        .filter((line) => line.endsWith(`/${name}`));
      assert.equal(own.length, cgroups().dirs?.length);
    }
    if (v1("pids") !== undefined)
      assert.equal(readFileSync(join(cgroupRoot, "pids", name, "pids.max"), "utf8"), "77\n");
    if (v1("memory") !== undefined)
      assert.equal(
        readFileSync(join(cgroupRoot, "memory", name, "memory.limit_in_bytes"), "utf8"),
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
            path: join(unified, name),
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
    assert.match(failed.message, /write nonsense to .*cgroup\.procs: /);
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
    if (freezer !== undefined) writeFileSync(join(freezer, name, "freezer.state"), "FROZEN");
    else writeFileSync(join(unified, name, "cgroup.freeze"), "1");
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
      () => readFileSync(join(unified, name, "cgroup.procs"), "utf8").split("\n").length > 3,
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

  it("do not call a kill by a user one for memory", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ ...sh("sleep 100"), cgroup: cgroups({ memory: "20971520" }) });
    await shim.message("started");
    await shim.request({ case: "signal", value: { signal: 9 } });
    const exited = await shim.message("exited");
    assert.deepEqual([exited.exitCode, exited.oomKilled], [137, false]);
  });
});

describe("network interfaces", () => {
  const bridge = `${interfaceName}b`;
  const host = `${interfaceName}h`;
  const withBridge = async (use: (playground: Playground) => Promise<void>): Promise<void> => {
    await using playground = await Playground.make();
    await kernel.createLink({ kind: "bridge", name: bridge, mtu: 1400 });
    try {
      await kernel.addAddress(bridge, "10.213.7.1/24");
      await kernel.setLinkUp(bridge, true);
      await use(playground);
    } finally {
      await kernel.deleteLink(bridge);
    }
  };
  const veth = {
    kind: "veth",
    hostName: host,
    name: "eth0",
    parent: bridge,
    mac: new Uint8Array([2, 0x42, 10, 213, 7, 2]),
    addresses: ["10.213.7.2/24", "fd00:77::2/64"],
    routes: [{ destination: "0.0.0.0/0", gateway: "10.213.7.1" }],
    sysctls: { "net/ipv4/conf/eth0/arp_notify": "1" },
  };

  it("join the container to a bridge", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh(
          "ip addr show eth0; ip addr show lo; ip route; cat /proc/sys/net/ipv4/conf/eth0/arp_notify; echo x | nc -w 1 10.213.7.1 1; sleep 100",
        ),
        interfaces: [{ ...veth, isolated: true }],
      });
      await shim.message("started");
      await holds(() => logged(playground).includes("default via"));
      const text = logged(playground);
      assert.match(text, /eth0@.*<BROADCAST,MULTICAST,UP,LOWER_UP/);
      assert.match(text, /mtu 1400/);
      assert.match(text, /link\/ether 02:42:0a:d5:07:02/);
      assert.match(text, /inet 10\.213\.7\.2\/24 brd 10\.213\.7\.255/);
      assert.match(text, /inet6 fd00:77::2\/64/);
      assert.match(text, /inet 127\.0\.0\.1\/8/);
      assert.match(text, /default via 10\.213\.7\.1 dev eth0/);
      const link = (await kernel.listLinks()).find((found) => found.name === host);
      const master = (await kernel.listLinks()).find((found) => found.name === bridge);
      assert.equal(link?.master, master?.index);
      assert.ok(link?.up);
      assert.equal(readFileSync(`/sys/class/net/${host}/brport/isolated`, "utf8"), "1\n");
    });
  });

  it("answer on the network", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh("exec 2>&1; busybox nc -l -p 7 -e cat"),
        interfaces: [veth],
      });
      await shim.message("started");
      const reply = await new Promise<string>((resolve, reject) => {
        const attempt = (left: number): void => {
          const socket = connect(7, "10.213.7.2");
          socket.on("connect", () => socket.write("hello"));
          socket.on("data", (data) => {
            resolve(data.toString());
            socket.destroy();
          });
          socket.on("error", (error) => {
            if (left === 0) reject(error);
            else setTimeout(() => attempt(left - 1), 20);
          });
        };
        attempt(50);
      });
      assert.equal(reply, "hello");
    });
  });

  it("are gone after a failed start", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({ process: processOf(["nope"]), interfaces: [veth] });
      await shim.message("startFailed");
      await shim.exitOfProcess();
      assert.equal(
        (await kernel.listLinks()).find((found) => found.name === host),
        undefined,
      );
    });
  });

  it("do not hide why the container's own part failed", async () => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh("true"),
        cgroup: cgroups(),
        mounts: [{ destination: "/x", type: "bind", source: "/no/such/source", flags: ms.bind }],
        interfaces: [veth],
      });
      assert.equal((await shim.message("startFailed")).step, "mount");
    });
  });

  it("name a bridge that is missing", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("true"),
      interfaces: [{ ...veth, parent: "gtrynone" }],
    });
    const failed = await shim.message("startFailed");
    assert.deepEqual([failed.step, failed.subject, failed.errnoValue], ["network", "eth0", 19]);
  });

  it("may be of kind macvlan", async (t) => {
    await withBridge(async (playground) => {
      const shim = playground.launch({
        ...sh("ip -d link show eth0; ip addr show eth0"),
        interfaces: [
          {
            kind: "macvlan",
            name: "eth0",
            parent: bridge,
            mode: "bridge",
            addresses: ["10.213.7.9/24"],
          },
        ],
      });
      const failed = shim.message("startFailed");
      failed.catch(() => undefined);
      const ended = await Promise.race([shim.message("exited"), failed]);
      if ("errnoValue" in ended && ended.errnoValue === 95) {
        t.skip("this kernel has no macvlan");
        return;
      }
      assert.match(logged(playground), /10\.213\.7\.9/);
    });
  });
});

describe("hooks", () => {
  const hook = (playground: Playground, stage: string, script: string): HookInit => ({
    stage,
    path: "/bin/sh",
    args: ["sh", "-c", `echo ${stage} >> ${playground.path("order")}; ${script}`],
    env: ["PATH=/bin:/usr/bin"],
  });

  it("run in the spec's order with the state on standard input", async () => {
    await using playground = await Playground.make();
    const stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    const shim = playground.launch({
      ...sh(`echo started; ls /container-hook`),
      hookStateJson: '{"ociVersion":"1.0.2","id":"x"}',
      hooks: [
        ...stages.map((stage) => hook(playground, stage, `cat > ${playground.path(stage)}`)),
        {
          stage: "startContainer",
          path: "/bin/sh",
          args: ["sh", "-c", "echo > /container-hook"],
          env: ["PATH=/bin"],
        },
      ],
    });
    assert.equal((await shim.message("exited")).exitCode, 0);
    await shim.exitOfProcess();
    assert.deepEqual(readFileSync(playground.path("order"), "utf8").trim().split("\n"), stages);
    const { pid } = await shim.message("started");
    const state = (stage: string): Record<string, unknown> =>
      JSON.parse(readFileSync(playground.path(stage), "utf8"));
    assert.deepEqual(state("prestart"), { status: "creating", pid, ociVersion: "1.0.2", id: "x" });
    assert.equal(state("poststart")["status"], "running");
    assert.equal(state("poststop")["status"], "stopped");
  });

  it("that fail or take too long fail the start", async () => {
    await using playground = await Playground.make();
    for (const [script, timeoutSeconds, text] of [
      ["echo why >&2; exit 3", 0, /exit status 3, output: why/],
      ["sleep 100", 1, /timed out/],
    ] as const) {
      const shim = playground.launch({
        ...sh("true"),
        hooks: [{ ...hook(playground, "createRuntime", script), timeoutSeconds }],
      });
      const failed = await shim.message("startFailed");
      assert.match(failed.message, text);
      await shim.exitOfProcess();
    }
  });
});

describe("hooks after start and end", () => {
  it("that fail are complained of, and the others and the container go on", async () => {
    await using playground = await Playground.make();
    const hook = (stage: string, script: string): HookInit => ({
      stage,
      path: "/bin/sh",
      args: ["sh", "-c", script],
      env: ["PATH=/bin:/usr/bin"],
    });
    const shim = playground.launch({
      ...sh("echo ran"),
      hooks: [
        hook("poststart", "echo too late >&2; exit 3"),
        hook("poststart", `: > ${playground.path("second-start")}`),
        hook("poststop", "exit 4"),
        hook("poststop", `: > ${playground.path("second-stop")}`),
      ],
    });
    assert.equal((await shim.message("exited")).exitCode, 0);
    await shim.exitOfProcess();
    assert.ok(existsSync(playground.path("second-start")));
    assert.ok(existsSync(playground.path("second-stop")));
    await shim.message("warning", ({ text }) => /poststart hook .*status 3.*too late/.test(text));
    await shim.message("warning", ({ text }) => /poststop hook .*exit status 4/.test(text));
  });
});

describe("events on NATS", () => {
  /** Messages of a subscription to everything under gantry.process, by the text protocol. */
  async function subscribe(url: string): Promise<{
    messages: { subject: string; id: string; body: Record<string, unknown> }[];
    end: () => void;
  }> {
    const { username, password, port } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    const messages: { subject: string; id: string; body: Record<string, unknown> }[] = [];
    let text = "";
    socket.write(
      `CONNECT ${JSON.stringify({ verbose: false, headers: true, user: username, pass: decodeURIComponent(password) })}\r\nSUB gantry.process.> 1\r\nPING\r\n`,
    );
    await new Promise<void>((resolve) => {
      socket.on("data", (chunk) => {
        text += chunk.toString();
        if (text.includes("PONG")) resolve();
        for (const match of text.matchAll(
          /HMSG (\S+) 1 \d+ \d+\r\nNATS\/1\.0\r\nNats-Msg-Id: (\S+)\r\n\r\n(\{.*\})\r\n/g,
        )) {
          if (!messages.some((known) => known.id === match[2]))
            messages.push({
              subject: match[1] ?? "",
              id: match[2] ?? "",
              body: JSON.parse(match[3] ?? ""),
            });
        }
      });
    });
    return { messages, end: () => socket.destroy() };
  }

  it("tell of start, exec and exit, with message IDs that differ from run to run", async () => {
    await using playground = await Playground.make();
    await using nats = await startNats({ dir: playground.folder, jetstream: false });
    writeFileSync(playground.path("nats.url"), `${nats.url}\n`);
    const { messages, end } = await subscribe(nats.url);
    for (let run = 0; run < 2; run++) {
      const shim = playground.launch({
        ...sh("sleep 100"),
        natsUrlPath: playground.path("nats.url"),
      });
      const { pid } = await shim.message("started");
      await shim.exec(["sh", "-c", "exit 4"]);
      await shim.request({ case: "signal", value: { signal: 9 } });
      await shim.message("exited");
      await holds(() => messages.length === 3 * (run + 1));
      const id = "c".repeat(64);
      const [started, exec, exited] = messages.slice(3 * run);
      assert.deepEqual(
        [started?.subject, exec?.subject, exited?.subject],
        ["started", "exec-exited", "exited"].map((event) => `gantry.process.${event}.${id}`),
      );
      assert.deepEqual(
        [
          started?.body["pid"],
          exec?.body["exitCode"],
          exited?.body["exitCode"],
          exited?.body["signal"],
        ],
        [pid, 4, 137, 9],
      );
      assert.equal(exited?.id, `${id}:${String(exited?.body["seq"])}`);
      assert.equal(shim.exitRecord()["seq"], exited?.body["seq"]);
    }
    assert.equal(new Set(messages.map((message) => message.id)).size, 6);
    end();
  });

  it("hold nothing up when nobody answers", async () => {
    await using playground = await Playground.make();
    await using silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as { port: number };
    writeFileSync(playground.path("nats.url"), `nats://127.0.0.1:${String(port)}`);
    const shim = playground.launch({ ...sh("true"), natsUrlPath: playground.path("nats.url") });
    const begun = Date.now();
    await shim.message("exited");
    assert.ok(Date.now() - begun < 1500);
    await shim.exitOfProcess();
    assert.ok(Date.now() - begun < 5000);
  });

  it("are dropped when there is no broker", async () => {
    await using playground = await Playground.make();
    writeFileSync(playground.path("nats.url"), "nats://127.0.0.1:1");
    for (const natsUrlPath of [playground.path("nats.url"), playground.path("missing")]) {
      const shim = playground.launch({ ...sh("true"), natsUrlPath });
      await shim.message("exited");
      await shim.exitOfProcess();
    }
  });
});
