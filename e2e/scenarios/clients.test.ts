/** Programs that use the engine through the common Node clients. */
import assert from "node:assert/strict";
import { once } from "node:events";
import path from "node:path";
import { PassThrough } from "node:stream";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import Docker from "dockerode";
import { GenericContainer, Wait } from "testcontainers";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  process.env["DOCKER_HOST"] = engine.dockerHost;
  process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

describe("dockerode", () => {
  it("runs a command and reads its streams apart", async () => {
    const docker = new Docker({ socketPath: path.join(engine.runRoot, "docker.sock") });
    const out = new PassThrough();
    const err = new PassThrough();
    const text = { out: "", err: "" };
    out.on("data", (chunk: Buffer) => (text.out += chunk.toString()));
    err.on("data", (chunk: Buffer) => (text.err += chunk.toString()));
    const [result] = (await docker.run(
      "busybox",
      ["sh", "-c", "echo to out; echo to err >&2; exit 3"],
      [out, err],
      { Tty: false, HostConfig: { AutoRemove: true } },
    )) as [{ StatusCode: number }];
    assert.equal(result.StatusCode, 3);
    assert.deepEqual(text, { out: "to out\n", err: "to err\n" });
  });
  it("executes a command in a running container", async () => {
    const docker = new Docker({ socketPath: path.join(engine.runRoot, "docker.sock") });
    const container = await docker.createContainer({ Image: "busybox", Cmd: ["sleep", "1000"] });
    await container.start();
    const exec = await container.exec({ Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
    const stream = await exec.start({ hijack: true, stdin: true });
    let shown = "";
    const out = new PassThrough();
    out.on("data", (chunk: Buffer) => (shown += chunk.toString()));
    docker.modem.demuxStream(stream, out, out);
    stream.end("through and back");
    await once(stream, "end");
    assert.equal(shown, "through and back");
    assert.equal((await exec.inspect()).ExitCode, 0);
    await container.remove({ force: true });
  });
});

describe("testcontainers", () => {
  it("starts a service, waits for its port, talks to it and removes it", async () => {
    const container = await new GenericContainer("busybox")
      .withCommand([
        "sh",
        "-c",
        "mkdir /w; echo -n hello > /w/index.html; exec httpd -f -p 8080 -h /w",
      ])
      .withExposedPorts(8080)
      .withWaitStrategy(Wait.forListeningPorts())
      .start();
    const answer = await fetch(`http://127.0.0.1:${String(container.getMappedPort(8080))}/`);
    assert.equal(await answer.text(), "hello");
    const listed = await container.exec(["ls", "/w"]);
    assert.equal(listed.output, "index.html\n");
    assert.equal(listed.exitCode, 0);
    await container.stop();
  });
  it("copies files in and waits for a line of the log", async () => {
    const container = await new GenericContainer("busybox")
      .withCopyContentToContainer([{ content: "copied in", target: "/etc/motd" }])
      .withCommand(["sh", "-c", "cat /etc/motd; echo; sleep 1000"])
      .withWaitStrategy(Wait.forLogMessage("copied in"))
      .start();
    await container.stop();
  });
});
