/** Builds by programs: dockerode, testcontainers, docker-py, each in the ways that it has. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { mustRun } from "@gantry/testkit";
import { composePython } from "@gantry/testkit/compose";
import { TestEngine } from "@gantry/testkit/test-engine";
import Docker from "dockerode";
import { GenericContainer } from "testcontainers";
import { ask } from "../src/http.ts";

let engine: TestEngine;
let docker: Docker;
before(async () => {
  engine = await TestEngine.start();
  docker = new Docker({ socketPath: path.join(engine.runRoot, "docker.sock") });
  process.env["DOCKER_HOST"] = engine.dockerHost;
  process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
  process.env["TMPDIR"] = engine.root;
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

type Files = Readonly<Record<string, string>>;

async function folderOf(name: string, files: Files): Promise<string> {
  const folder = path.join(engine.root, "contexts", name);
  await mkdir(folder, { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    await writeFile(path.join(folder, file), content);
  }
  return folder;
}

const greeter = {
  Dockerfile:
    'FROM busybox\nARG WORD\nCOPY name /name\nRUN echo "$WORD $(cat /name)" > /said && echo working\nCMD ["cat", "/said"]\n',
  name: "there",
};

/** A line of the build's stream. */
interface Message {
  readonly id?: string;
  readonly aux?: { readonly ID: string } | string;
  readonly stream?: string;
  readonly error?: string;
  readonly errorDetail?: { readonly code?: number; readonly message: string };
}

/** Builds with dockerode, and gives what it hears. */
async function build(folder: string, options: object): Promise<Message[]> {
  const src = Object.keys(greeter);
  const stream = await docker.buildImage({ context: folder, src }, options);
  const text: Buffer[] = [];
  for await (const chunk of stream as unknown as AsyncIterable<Buffer>) text.push(chunk);
  const lines = Buffer.concat(text).toString().split("\r\n");
  return lines.filter(Boolean).map((line) => JSON.parse(line) as Message);
}

describe("dockerode", () => {
  it("builds by the classic endpoint", async () => {
    const folder = await folderOf("classic", greeter);
    const heard = await build(folder, { t: "classic", buildargs: { WORD: "hello" } });
    assert.match(heard.map(({ stream = "" }) => stream).join(""), /Successfully tagged classic/);
    assert.equal(await engine.docker(["run", "--rm", "classic"]), "hello there");
  });

  it("hears the image of each stage of a classic build", async () => {
    const Dockerfile =
      "FROM busybox AS base\nONBUILD ENV a=b\nFROM base\nENV c=d\nFROM base\nENV e=f\n";
    const heard = await build(await folderOf("stages", { ...greeter, Dockerfile }), {
      t: "stages",
    });
    const ids = heard.flatMap(({ aux }) => (typeof aux === "object" ? [aux.ID] : []));
    assert.equal(new Set(ids).size, 3);
    const shown = await docker.getImage(ids.at(-1) ?? "").inspect();
    assert.deepEqual(shown.RepoTags, ["stages:latest"]);
    assert.deepEqual(shown.Config.Env?.slice(-2), ["a=b", "e=f"]);
  });

  it("builds with BuildKit and a session of its own", async () => {
    const folder = await folderOf("session", greeter);
    const heard = await build(folder, {
      ...{ t: "by-session", version: "2", labels: { colour: "blue" } },
      buildargs: { WORD: "good day" },
    });
    assert.equal(await engine.docker(["run", "--rm", "by-session"]), "good day there");
    const id = await engine.docker(["inspect", "--format", "{{.Id}}", "by-session"]);
    assert.deepEqual(heard.at(-1), { id: "moby.image.id", aux: { ID: id } });
    const label = '{{index .Config.Labels "colour"}}';
    assert.equal(await engine.docker(["inspect", "--format", label, "by-session"]), "blue");
    const traces = heard.slice(0, -1);
    assert.ok(traces.every((message) => message.id === "moby.buildkit.trace"));
    const told = traces
      .map(({ aux }) => (typeof aux === "string" ? Buffer.from(aux, "base64").toString() : ""))
      .join("");
    for (const words of ["load remote build context", "RUN echo", "working\n", "by-session"]) {
      assert.ok(told.includes(words), words);
    }
  });

  it("hears why a build with BuildKit fails, after its progress", async () => {
    const folder = await folderOf("failing", {
      ...greeter,
      Dockerfile: "FROM busybox\nRUN exit 7\n",
    });
    const heard = await build(folder, { version: "2" });
    const last = heard.at(-1);
    assert.equal(
      last?.error,
      'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7',
    );
    assert.deepEqual(last.errorDetail, { message: last.error });
    assert.ok(heard.some(({ id }) => id === "moby.buildkit.trace"));
  });
});

describe("POST /build?version=2", () => {
  it("needs no session for an archive", async () => {
    const folder = await folderOf("bare", { ...greeter, Other: "FROM busybox\nCOPY name /\n" });
    const packed = path.join(engine.root, "bare.tar");
    await mustRun(["tar", "-C", folder, "-cf", packed, "."]);
    const sent = await mustRun([
      ...["curl", "-sS", "--unix-socket", path.join(engine.runRoot, "docker.sock")],
      ...["-X", "POST", "-H", "Content-Type: application/x-tar", "--data-binary", `@${packed}`],
      "http://docker/v1.52/build?version=2&t=bare&dockerfile=Other",
    ]);
    assert.match(
      sent.stdout,
      /\{"id":"moby\.image\.id","aux":\{"ID":"sha256:[0-9a-f]{64}"\}\}\r\n$/,
    );
    assert.equal(await engine.docker(["run", "--rm", "bare", "cat", "/name"]), "there");
  });

  it("refuses what is no builder", async () => {
    const answer = await ask(engine, { method: "POST", path: "/v1.52/build?version=3" });
    assert.equal(answer.status, 400);
  });
});

describe("testcontainers", () => {
  for (const kind of ["classic", "BuildKit"] as const) {
    it(`starts what it builds from a Dockerfile (${kind})`, async () => {
      const folder = await folderOf(`tc-${kind}`, {
        ...greeter,
        Dockerfile: `${greeter.Dockerfile}CMD cat /said; sleep 1000\n`,
      });
      const builder = GenericContainer.fromDockerfile(folder).withBuildArgs({ WORD: "tested" });
      const image = await (kind === "BuildKit" ? builder.withBuildkit() : builder).build();
      await using container = await image.start();
      const said = await container.exec(["cat", "/said"]);
      assert.equal(said.output, "tested there\n");
    });
  }
});

describe("docker-py", () => {
  it("builds, and finds the image in what it hears", async () => {
    const folder = await folderOf("python", greeter);
    const python = await composePython();
    const [program = ""] = python.command;
    const script = `
import docker, sys
client = docker.DockerClient(base_url=sys.argv[2])
image, log = client.images.build(path=sys.argv[1], tag="python-made", buildargs={"WORD": "ssss"}, rm=True)
print(image.tags, any("working" in line.get("stream", "") for line in log))
print(client.containers.run("python-made", remove=True).decode().strip())
try:
    client.images.build(path=sys.argv[1], dockerfile="none")
except docker.errors.APIError as error:
    print(error.response.status_code, error.explanation)
`;
    const ran = await mustRun([program, "-c", script, folder, engine.dockerHost], {
      env: { ...engine.clientEnv(), ...python.env },
    });
    assert.deepEqual(ran.stdout.trim().split("\n"), [
      "['python-made:latest'] True",
      "ssss there",
      "500 Cannot locate specified Dockerfile: none",
    ]);
  });
});

it("a session needs no Connection header beside Upgrade", async () => {
  const socket = net.connect(path.join(engine.runRoot, "docker.sock"));
  const id = "X-Docker-Expose-Session-Uuid: bare";
  socket.write(`POST /session HTTP/1.1\r\nHost: d\r\n${id}\r\nUpgrade: h2c\r\n\r\n`);
  const [head] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  assert.match(head.toString("latin1"), /^HTTP\/1\.1 101 [^]*\r\nUpgrade: h2c\r\n/);
});
