/** The units of deploy/systemd, where systemd is the first process: started, killed, restarted, stopped. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { SystemdMachine } from "../src/systemd-machine.ts";

const services = [
  "gantry-nats",
  "gantry-image-service",
  "gantry-container-service",
  "gantry-api-gateway",
];

/** A busy machine starts a service in ten seconds, longer than a client is made to wait. */
const deadline = { timeoutMs: 60_000 };

let engine: TestEngine;
let machine: SystemdMachine;
let hierarchies: string[];

/** Which hierarchy of cgroups each controller is in: systemd mounts those that nobody has. */
async function readHierarchies(): Promise<string[]> {
  const lines = (await readFile("/proc/cgroups", "utf8")).trim().split("\n");
  return lines.map((line) => line.split("\t").slice(0, 2).join(" "));
}

before(async () => {
  hierarchies = await readHierarchies();
  engine = await TestEngine.start({ busybox: false });
  machine = await SystemdMachine.boot(engine);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  assert.deepEqual(await readHierarchies(), hierarchies);
});

/** What must be the same before and after whatever happens to a service. */
async function whatStays(): Promise<object> {
  return {
    socket: await machine.run("stat", "--format=%i", "/run/gantry/docker.sock"),
    container: await machine.docker("inspect", "--format", "{{json .State}}", "kept"),
    events: await machine.run("cat", "/run/gantry/nats.url"),
  };
}

/** Resolves when another process than `pid` is the service's, and the engine answers. */
async function isReplaced(service: string, pid: string): Promise<void> {
  await untilPasses(async () => {
    assert.ok(![pid, "0"].includes(await machine.pidOf(service)), `${service} is not back`);
    for (const question of ["ps", "images", "info"]) await machine.docker(question);
  }, deadline);
}

describe("gantry.target", () => {
  it("starts an engine that runs hello-world as soon as systemctl has returned", async () => {
    await machine.run("systemctl", "enable", "--now", "gantry.target");
    await machine.docker("load", "--quiet", "--input", "/usr/lib/gantry/dist/hello-world.tar");
    assert.match(await machine.docker("run", "--rm", "hello-world"), /^Hello from Gantry!/);
    await machine.docker("load", "--quiet", "--input", "/root/busybox.tar");
    const ends = "trap 'exit 7' TERM; while :; do sleep 0.1; done";
    await machine.docker("run", "--detach", "--name", "kept", "busybox", "sh", "-c", ends);
    const always = ["--restart=always", "--name", "always", "busybox", "sleep", "1d"];
    await machine.docker("run", "--detach", "--stop-timeout=0", ...always);
  });

  for (const service of services) {
    it(`brings ${service} back when it is killed, under running containers`, async () => {
      const stays = await whatStays();
      const pid = await machine.pidOf(service);
      await machine.shell(`kill -9 ${pid}`);
      await isReplaced(service, pid);
      assert.equal(await machine.docker("run", "--rm", "busybox", "echo", "still"), "still");
      assert.deepEqual(await whatStays(), stays);
    });

    it(`restarts ${service} under running containers`, async () => {
      const stays = await whatStays();
      const pid = await machine.pidOf(service);
      await machine.run("systemctl", "restart", service);
      await isReplaced(service, pid);
      assert.equal(await machine.docker("run", "--rm", "busybox", "echo", "still"), "still");
      assert.deepEqual(await whatStays(), stays);
    });
  }

  it("starts the builder when something is built, and it comes back for the next build", async () => {
    const service = "gantry-build-service";
    const build = `printf 'FROM busybox\\nRUN echo built >/word\\n' |
      DOCKER_HOST=unix:///run/gantry/docker.sock DOCKER_BUILDKIT=0 docker build --no-cache -q -t built -`;
    assert.equal(await machine.pidOf(service), "0");
    await machine.shell(build);
    assert.equal(await machine.docker("run", "--rm", "built", "cat", "/word"), "built");
    await machine.shell(`kill -9 ${await machine.pidOf(service)}`);
    await machine.shell(build);
  });

  it("hands a changed daemon.json to services that are reloaded", async () => {
    await machine.shell(`echo '{"labels": ["rack=7"]}' >/etc/gantry/daemon.json`);
    await machine.run("systemctl", "reload", "gantry-container-service");
    await untilPasses(async () => {
      assert.equal(await machine.docker("info", "--format", "{{json .Labels}}"), '["rack=7"]');
    }, deadline);
  });

  it("stops containers in order, then everything, and nothing is left", async () => {
    await machine.run("systemctl", "stop", "gantry.target", "gantry-*");
    assert.equal(await machine.leftovers(), "", await machine.journal());
  });

  it("starts again with what was there, and what is to run always", async () => {
    await machine.run("systemctl", "start", "gantry.target");
    const format = ["--format", "{{.State.Status}} {{.State.ExitCode}}"];
    assert.equal(await machine.docker("inspect", ...format, "kept"), "exited 7");
    await untilPasses(async () => {
      assert.equal(await machine.docker("inspect", ...format, "always"), "running 0");
    }, deadline);
  });

  it("goes down with the machine, which leaves nothing in the kernel", async () => {
    await engine.docker(["stop", "--time=60", "machine"]);
    const code = await engine.docker(["inspect", "--format", "{{.State.ExitCode}}", "machine"]);
    assert.notEqual(code, "137", "it had to be killed");
    await engine.docker(["rm", "--volumes", "machine"]);
  });
});
