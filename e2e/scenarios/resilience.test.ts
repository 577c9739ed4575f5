/** kill -9 of any service leaves containers running, and every exit is reported once, with the true code. */
import assert from "node:assert/strict";
import { link, readFile, rm } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import type { ServiceName } from "@gantry/testkit/test-engine";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const services: readonly ServiceName[] = [
  "api-gateway",
  "container-service",
  "image-service",
  "nats-server",
];
const state = async (id: string): Promise<string> =>
  await engine.docker(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", id]);

for (const service of services) {
  describe(`kill -9 of ${service}`, () => {
    it("leaves a container running, loses no line of its log, and reports its exit truly", async () => {
      const id = await engine.docker([
        "run",
        "-d",
        "-i",
        "busybox",
        "sh",
        "-c",
        "i=0; while [ ! -e /go ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 42",
      ]);
      const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
      await engine.kill9(service);
      assert.ok(
        (await readFile(`/proc/${pid}/cmdline`, "utf8")).startsWith("sh"),
        "the container's process is gone",
      );
      await engine.ready();
      await engine.docker(["exec", id, "touch", "/go"]);
      assert.equal(await engine.docker(["wait", id]), "42");
      const lines = (await engine.docker(["logs", id])).split("\n");
      assert.deepEqual(
        lines,
        lines.map((_, index) => `line ${String(index)}`),
      );
      await onlyOneDie(id, "42");
      await engine.docker(["rm", id]);
    });
  });
}

describe("a call right after kill -9", () => {
  it("of container-service is answered when that is back", async () => {
    await engine.kill9("container-service");
    await engine.docker(["ps"]);
  });

  it("of api-gateway waits until that is back, also by a socket that a container has mounted", async () => {
    const file = engine.dockerHost.replace("unix://", "");
    // A bind mount shows what a hard link shows: the file that was there when it was made.
    const mounted = `${file}-mounted`;
    await link(file, mounted);
    try {
      for (const socket of [file, mounted, file]) {
        await engine.kill9("api-gateway");
        const version = await engine.docker([
          "-H",
          `unix://${socket}`,
          "version",
          "-f",
          "{{.Server.Version}}",
        ]);
        assert.match(version, /^\d/);
      }
    } finally {
      await rm(mounted);
    }
  });

  it("of image-service is answered when that is back", async () => {
    await engine.kill9("image-service");
    assert.match(await engine.docker(["images"]), /busybox/);
  });
});

describe("kill -9 of the supervisor", () => {
  it("leaves containers and API as they are, and a new supervisor takes over", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    await engine.kill9("supervisor");
    await engine.startSupervisor();
    assert.equal(await state(id), "running 0");
    await engine.docker(["rm", "-f", id]);
  });
});

describe("kill -9 of every service at once", () => {
  it("still tells the exit code of a container that ended meanwhile", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sh", "-c", "sleep 1; exit 17"]);
    await engine.kill9("supervisor");
    for (const service of services) await engine.kill9(service);
    await untilPasses(async () => {
      const shims = await engine.pidsOf("supervisor");
      assert.deepEqual(shims, []);
    });
    await engine.startSupervisor();
    assert.equal(await engine.docker(["wait", id]), "17");
    await onlyOneDie(id, "17");
    await engine.docker(["rm", id]);
  });
});

describe("a run root that is taken away while no service runs", () => {
  it("ends what nobody can reach any more, says so, and loses nothing else", async () => {
    const sleeper = ["busybox", "sh", "-c", "echo kept; exec sleep 1000"];
    const plain = await engine.docker(["run", "-d", ...sleeper]);
    // The relay that holds it is out of reach, too.
    const port = "127.0.0.1:18371";
    const options = ["--restart", "always", "-p", `${port}:80`];
    const restarted = await engine.docker(["run", "-d", ...options, ...sleeper]);
    const removed = await engine.docker(["run", "-d", "--rm", ...sleeper]);
    const waiter = "trap 'exit 17' TERM; sleep 1000 & echo ready; wait";
    const ended = await engine.docker(["run", "-d", "busybox", "sh", "-c", waiter]);
    await untilPasses(async () => {
      assert.equal(await engine.docker(["logs", ended]), "ready");
    });
    const running = [plain, restarted, removed];
    const pids = await engine.docker(["inspect", "-f", "{{.State.Pid}}", ...running]);
    const last = await engine.docker(["inspect", "-f", "{{.State.Pid}}", ended]);
    const lastShim = await parentOf(last);
    await engine.kill9("supervisor");
    for (const service of services) await engine.kill9(service);
    process.kill(Number(last), "SIGTERM");
    await untilPasses(async () => {
      assert.equal(await commandLine(lastShim), "");
    });
    await rm(engine.runRoot, { recursive: true });
    await engine.startSupervisor();
    for (const pid of pids.split("\n")) assert.equal(await commandLine(pid), "");
    assert.equal(await state(plain), "exited 137");
    await onlyOneDie(plain, "137");
    assert.equal(await engine.docker(["logs", plain]), "kept");
    await untilPasses(async () => {
      assert.equal(await state(restarted), "running 0");
    });
    assert.equal(await engine.docker(["port", restarted]), `80/tcp -> ${port}`);
    await untilPasses(async () => {
      assert.equal((await engine.tryDocker(["inspect", removed])).code, 1);
    });
    assert.equal(await state(ended), "exited 17");
    await onlyOneDie(ended, "17");
    assert.equal(await engine.docker(["exec", restarted, "echo", "ok"]), "ok");
    await engine.docker(["rm", "-f", plain, restarted, ended]);
  });
});

describe("kill -9 of a container's shim process", () => {
  it("kills the container and says so", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
    process.kill(Number(await parentOf(pid)), "SIGKILL");
    await untilPasses(async () => {
      assert.equal(await state(id), "exited 137");
    });
    assert.equal(await commandLine(pid), "", "the container's process lives on");
    await onlyOneDie(id, "137");
    await engine.docker(["rm", id]);
  });
});

describe("a restart policy", () => {
  it("starts a container again after its own exit, also across a crash of container-service", async () => {
    const id = await engine.docker([
      "run",
      "-d",
      "--restart",
      "always",
      "busybox",
      "sh",
      "-c",
      "sleep 0.5; exit 3",
    ]);
    await engine.kill9("container-service");
    await engine.ready();
    await untilPasses(async () => {
      assert.ok(Number(await engine.docker(["inspect", "-f", "{{.RestartCount}}", id])) >= 2);
    });
    await engine.docker(["rm", "-f", id]);
  });
});

async function onlyOneDie(id: string, exitCode: string): Promise<void> {
  const until = String(Math.ceil(Date.now() / 1000) + 1);
  const lines = await engine.docker([
    "events",
    "--since",
    "0",
    "--until",
    until,
    "--filter",
    `container=${id}`,
    "--filter",
    "event=die",
    "--format",
    "{{.Actor.Attributes.exitCode}}",
  ]);
  assert.equal(lines, exitCode);
}

async function parentOf(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ")[1] ?? "";
}

/** Empty for a process that has ended, even where the machine's init is slow to reap it. */
async function commandLine(pid: string): Promise<string> {
  return await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
}
