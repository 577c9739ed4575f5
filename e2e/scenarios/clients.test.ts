/** Programs that use the engine through the common Node clients. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import Docker from "dockerode";
import { GenericContainer, Network, Wait } from "testcontainers";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  process.env["DOCKER_HOST"] = engine.dockerHost;
  process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
  process.env["TMPDIR"] = engine.root;
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
  it("lets containers of a network find each other by their aliases", async () => {
    const network = await new Network().start();
    const server = await new GenericContainer("busybox")
      .withNetwork(network)
      .withNetworkAliases("shop", "store")
      .withCommand([
        "sh",
        "-c",
        "mkdir /w; echo -n hello > /w/index.html; exec httpd -f -v -p 80 -h /w",
      ])
      .start();
    const client = await new GenericContainer("busybox")
      .withNetwork(network)
      .withCommand(["sleep", "1000"])
      .start();
    for (const alias of ["shop", "store"]) {
      const answer = await client.exec(["wget", "-qO-", `http://${alias}/`]);
      assert.deepEqual([answer.exitCode, answer.output], [0, "hello"]);
    }
    assert.notEqual(server.getIpAddress(network.getName()), "");
    await client.stop();
    await server.stop();
    await network.stop();
    assert.equal(await engine.docker(["network", "ls", "-q", "-f", "type=custom"]), "");
  });
  it("waits for a health check, an exit, a command and a page", async () => {
    const web = "mkdir /w; echo -n ready > /w/index.html; exec httpd -f -p 80 -h /w";
    const served = await new GenericContainer("busybox")
      .withCommand(["sh", "-c", web])
      .withExposedPorts(80)
      .withHealthCheck({
        test: ["CMD-SHELL", "wget -qO- http://127.0.0.1/"],
        interval: 200,
        timeout: 2000,
        retries: 50,
      })
      .withWaitStrategy(
        Wait.forAll([
          Wait.forHealthCheck(),
          Wait.forHttp("/", 80).forResponsePredicate((body) => body === "ready"),
          Wait.forSuccessfulCommand("test -e /w/index.html"),
        ]),
      )
      .start();
    await served.stop();
    const once = await new GenericContainer("busybox")
      .withCommand(["true"])
      .withWaitStrategy(Wait.forOneShotStartup())
      .start();
    await once.stop();
  });
  it("copies files, folders and archives in and out", async () => {
    const folder = path.join(engine.root, "copied");
    await mkdir(path.join(folder, "below"), { recursive: true });
    await writeFile(path.join(folder, "below/file"), "of a folder");
    const container = await new GenericContainer("busybox")
      .withCopyDirectoriesToContainer([{ source: folder, target: "/given" }])
      .withCopyFilesToContainer([
        { source: path.join(folder, "below/file"), target: "/etc/given", mode: 0o600 },
      ])
      .withCommand(["sleep", "1000"])
      .start();
    const listed = await container.exec([
      "sh",
      "-c",
      "cat /given/below/file; stat -c %a /etc/given",
    ]);
    assert.equal(listed.output, "of a folder600\n");
    await container.copyContentToContainer([{ content: "later", target: "/tmp/later" }]);
    const archive = await container.copyArchiveFromContainer("/tmp/later");
    const chunks: Buffer[] = [];
    for await (const chunk of archive) chunks.push(Buffer.from(chunk as Uint8Array));
    const tar = Buffer.concat(chunks);
    assert.equal(tar.subarray(0, 5).toString(), "later");
    await container.copyArchiveToContainer(Readable.from([tar]), "/home");
    assert.equal((await container.exec(["cat", "/home/later"])).output, "later");
    await container.stop();
  });
});
