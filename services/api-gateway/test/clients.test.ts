/** Real clients against fakes: the stock CLI and dockerode. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { cleanEnvironment, mustRun, run } from "@gantry/testkit/run";
import Docker from "dockerode";
import { frame } from "./fakes/container-service.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
let docker: Docker;
before(async () => {
  stack = await openStack();
  docker = new Docker({ socketPath: stack.socket });
  stack.containers.programs.set("echo", (socket, { args }) => {
    socket.write(frame(1, `${args.join(" ")}\n`));
    socket.write(frame(2, "to stderr\n"));
    return Promise.resolve(7);
  });
  stack.containers.programs.set("cat", async (socket) => {
    for await (const chunk of socket.iterator({ destroyOnReturn: false }))
      socket.write(frame(1, String(chunk)));
    return 0;
  });
  stack.containers.programs.set("big", async (socket) => {
    const block = frame(1, "x".repeat(65_536));
    for (let i = 0; i < 256; i++) if (!socket.write(block)) await once(socket, "drain");
    return 0;
  });
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

const cli = (args: string[], input?: string) =>
  run(["docker", ...args], {
    env: cleanEnvironment({ DOCKER_HOST: `unix://${stack.socket}`, HOME: stack.roots.path }),
    ...(input !== undefined && { input }),
  });

describe("the stock CLI", () => {
  it("runs a container: streams apart, exit code, removal", async () => {
    const ran = await cli(["run", "--rm", "--name", "once", "busybox", "echo", "hello", "world"]);
    assert.equal(ran.stdout, "hello world\n");
    assert.equal(ran.stderr, "to stderr\n");
    assert.equal(ran.code, 7);
    assert.equal((await cli(["ps", "-aq", "--filter", "name=once"])).stdout, "");
  });
  it("pipes input through", async () => {
    const ran = await cli(["run", "-i", "--rm", "busybox", "cat"], "some input");
    assert.equal(ran.stdout, "some input");
  });
  it("gets 16 MiB unharmed", async () => {
    const ran = await cli(["run", "--rm", "busybox", "big"]);
    assert.equal(ran.stdout.length, 16 * 1024 * 1024);
  });
  it("runs detached, lists, waits, stops and removes", async () => {
    const id = (
      await mustRun(["docker", "run", "-d", "--name", "kept", "busybox", "sleep"], {
        env: cleanEnvironment({ DOCKER_HOST: `unix://${stack.socket}`, HOME: stack.roots.path }),
      })
    ).stdout.trim();
    assert.match((await cli(["ps"])).stdout, /kept/);
    const waiting = cli(["wait", id]);
    assert.equal((await cli(["kill", id])).code, 0);
    assert.equal((await waiting).stdout, "137\n");
    assert.match((await cli(["ps", "-a"])).stdout, /Exited \(137\)/);
    assert.equal((await cli(["rm", "kept"])).code, 0);
  });
  it("prints messages of errors, not JSON", async () => {
    const ran = await cli(["inspect", "--type", "container", "none"]);
    assert.match(ran.stderr, /No such container: none/);
    assert.doesNotMatch(ran.stderr, /message/);
    assert.match((await cli(["attach", "none"])).stderr, /No such container: none/);
  });
  it("pulls a missing image and says what the registry says", async () => {
    const ran = await cli(["pull", "busybox"]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /Status: Downloaded newer image/);
  });
  it("execs, and takes the exit code from inspect", async () => {
    await cli(["run", "-d", "--name", "host", "busybox", "sleep"]);
    const ran = await cli(["exec", "-i", "host", "cat"], "exec input");
    assert.equal(ran.stdout, "exec input");
    assert.equal(ran.code, 0);
    await cli(["rm", "-f", "host"]);
  });
  it("shows info, version, images, history, df, stats and logs", async () => {
    await cli(["run", "-d", "--name", "shown", "busybox", "sleep"]);
    const commands = [
      ["info"],
      ["version"],
      ["images"],
      ["image", "inspect", "busybox"],
      ["history", "busybox"],
      ["system", "df"],
      ["system", "df", "-v"],
      ["stats", "--no-stream", "shown"],
      ["logs", "shown"],
      ["inspect", "shown"],
      ["port", "shown"],
      ["top", "shown"],
      ["network", "ls"],
      ["volume", "ls"],
      ["diff", "shown"],
      ["image", "tag", "busybox", "other"],
    ];
    for (const command of commands) {
      const ran = await cli(command);
      assert.equal(ran.code, 0, `${command.join(" ")}: ${ran.stderr}`);
    }
    assert.equal((await cli(["logs", "shown"])).stdout, "line 1\n");
    await cli(["rm", "-f", "shown"]);
  });
  it("loads and saves", async () => {
    assert.match((await cli(["load"], "archive bytes")).stdout, /Loaded image: hello:latest/);
    assert.equal((await cli(["save", "busybox"])).stdout.length, 1_000_000);
  });
  it("reads of old versions are right for it", async () => {
    for (const version of ["1.24", "1.41", "1.47", "1.50"]) {
      const ran = await run(["docker", "ps", "-a"], {
        env: cleanEnvironment({
          DOCKER_HOST: `unix://${stack.socket}`,
          HOME: stack.roots.path,
          DOCKER_API_VERSION: version,
        }),
      });
      assert.equal(ran.code, 0, ran.stderr);
    }
  });
});

describe("dockerode", () => {
  it("runs a container with its streams", async () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const [outText, errText] = [text(stdout), text(stderr)];
    const [result] = (await docker.run("busybox", ["echo", "by", "dockerode"], [stdout, stderr], {
      Tty: false,
    })) as unknown as [{ StatusCode: number }];
    stdout.end();
    stderr.end();
    assert.equal(result.StatusCode, 7);
    assert.equal(await outText, "by dockerode\n");
    assert.equal(await errText, "to stderr\n");
  });
  for (const hijack of [true, false]) {
    it(`execs ${hijack ? "with" : "without"} upgrade`, async () => {
      const container = await docker.createContainer({ Image: "busybox", Cmd: ["sleep"] });
      await container.start();
      const exec = await container.exec({ Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
      const stream = await exec.start({ hijack, stdin: true });
      const output = new PassThrough();
      docker.modem.demuxStream(stream, output, output);
      const first = once(output, "data");
      stream.write("typed");
      assert.equal(String((await first)[0]), "typed");
      stream.end();
      stream.destroy();
      await container.remove({ force: true });
    });
  }
  it("waits before it starts, and takes 304 for an answer", async () => {
    const container = await docker.createContainer({ Image: "busybox", Cmd: ["sleep"] });
    const waiting = container.wait({ condition: "next-exit" }) as Promise<{ StatusCode: number }>;
    await container.start();
    await assert.rejects(container.start(), { statusCode: 304 });
    await container.kill();
    assert.equal((await waiting).StatusCode, 137);
    await container.remove();
  });
});
