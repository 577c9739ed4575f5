/** BuildKit's protocol as buildx speaks it, against a builder that is scripted. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import {
  cleanEnvironment,
  type EngineRoots,
  makeDockerConfig,
  openEngineRoots,
  type Ran,
  run,
  type ServiceProcess,
  startService,
} from "@gantry/testkit";

let roots: EngineRoots;
let services: ServiceProcess[] = [];
let env: Record<string, string>;

before(async () => {
  roots = await openEngineRoots({ daemon: {} });
  const entry = "services/build-service/test/scripted-builder/main.ts";
  services = [
    await startService({ roots, name: "build-service", entry }),
    await startService({ roots, name: "api-gateway" }),
  ];
  env = cleanEnvironment({
    DOCKER_HOST: `unix://${roots.config.dockerSocket}`,
    DOCKER_CONFIG: await makeDockerConfig(path.join(roots.path, "config"), ["buildx"]),
    HOME: roots.path,
    TMPDIR: roots.path,
  });
});

after(async () => {
  for (const each of services.reverse()) await each.end();
  await roots[Symbol.asyncDispose]();
});

/** A context with these files. */
async function contextOf(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = path.join(roots.path, name);
  for (const [file, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), content);
  }
  return folder;
}

const buildx = (folder: string, args: readonly string[], input?: string): Promise<Ran> =>
  run(["docker", "buildx", ...args], {
    env,
    cwd: folder,
    timeoutMs: 60_000,
    ...(input !== undefined && { input }),
  });

/** Builds into a folder and gives it, with what buildx printed. */
async function buildTo(
  folder: string,
  args: readonly string[] = [],
): Promise<{ output: string; printed: string }> {
  const output = path.join(roots.path, `out-${path.basename(folder)}`);
  await rm(output, { recursive: true, force: true });
  const ran = await buildx(folder, [
    "build",
    "--progress=plain",
    "--output",
    `type=local,dest=${output}`,
    ...args,
    ".",
  ]);
  assert.equal(ran.code, 0, ran.stderr);
  return { output, printed: ran.stderr };
}

const read = (...parts: string[]): Promise<string> => readFile(path.join(...parts), "utf8");

describe("buildx", () => {
  test("sends its context and receives a folder, modes, times and links as they were", async () => {
    const folder = await contextOf("whole", {
      Dockerfile: "COPY .\n",
      "a.txt": "a",
      "sub/empty": "",
      "sub/b c": "bc",
    });
    await utimes(path.join(folder, "a.txt"), 1_500_000_000, 1_500_000_000);
    const linked = await run(
      ["sh", "-c", "ln -s sub/empty link && ln a.txt hard && chmod 751 'sub/b c' && chmod 705 sub"],
      { cwd: folder },
    );
    assert.equal(linked.code, 0);
    const { output, printed } = await buildTo(folder);
    assert.deepEqual((await readdir(output, { recursive: true })).sort(), [
      "Dockerfile",
      "a.txt",
      "hard",
      "link",
      "sub",
      "sub/b c",
      "sub/empty",
    ]);
    assert.equal(await read(output, "hard"), "a");
    assert.equal((await stat(path.join(output, "sub/b c"))).mode & 0o777, 0o751);
    assert.equal((await stat(path.join(output, "sub"))).mode & 0o777, 0o705);
    assert.equal((await stat(path.join(output, "a.txt"))).mtimeMs, 1_500_000_000_000);
    assert.match(printed, /#3 \[1\/1\] COPY \.\n#3 transferring context: [\d.]+k?B/);
  });

  test("sends again only what has changed, and forgets what is gone", async () => {
    const folder = await contextOf("changing", {
      Dockerfile: "COPY .\n",
      big: "x".repeat(200_000),
      "gone/file": "1",
      "becomes-a-file/x": "1",
      "becomes-a-folder": "1",
    });
    await buildTo(folder);
    await rm(path.join(folder, "gone"), { recursive: true });
    await rm(path.join(folder, "becomes-a-file"), { recursive: true });
    await rm(path.join(folder, "becomes-a-folder"));
    await contextOf("changing", {
      small: "new",
      "becomes-a-file": "2",
      "becomes-a-folder/y": "2",
    });
    const { output, printed } = await buildTo(folder);
    assert.match(printed, /transferring context: \d{1,3}B/, "only small files travel");
    assert.deepEqual((await readdir(output, { recursive: true })).sort(), [
      "Dockerfile",
      "becomes-a-file",
      "becomes-a-folder",
      "becomes-a-folder/y",
      "big",
      "small",
    ]);
    assert.equal((await read(output, "big")).length, 200_000);
  });

  test("keeps what .dockerignore names at home", async () => {
    const folder = await contextOf("ignoring", {
      Dockerfile: "COPY .\n",
      ".dockerignore": "*.log\n!keep.log\n",
      "a.log": "",
      "keep.log": "",
      "wörter/ü": "ü",
    });
    const { output } = await buildTo(folder);
    const names = await readdir(output);
    assert.ok(!names.includes("a.log"), names.join());
    assert.ok(names.includes("keep.log"), names.join());
    assert.equal(await read(output, "wörter/ü"), "ü");
  });

  test("sends an archive or a Dockerfile from its standard input", async () => {
    const folder = await contextOf("input", {
      "ctx/Dockerfile": "COPY .\n",
      "ctx/other": "COPY .\nSAY other\n",
      "ctx/a": "a",
    });
    const packed = await run(["tar", "czf", "../input.tgz", "-C", "ctx", "."], { cwd: folder });
    assert.equal(packed.code, 0, packed.stderr);
    const build = async (args: string, input: string): Promise<Ran> => {
      const command = `docker buildx build --progress=plain ${args} - < ${input}`;
      return await run(["sh", "-c", command], { env, cwd: folder, timeoutMs: 60_000 });
    };
    const whole = await build("-o type=local,dest=out -f other", "../input.tgz");
    assert.equal(whole.code, 0, whole.stderr);
    assert.match(whole.stderr, /\[internal\] load remote build context/);
    assert.match(whole.stderr, /^#\d+ [\d.]+ other$/m);
    assert.equal(await read(folder, "out/a"), "a");
    const alone = await build("-o type=local,dest=out2", "ctx/Dockerfile");
    assert.equal(alone.code, 0, alone.stderr);
  });

  test("sends only the paths that are used", async () => {
    const folder = await contextOf("picking", {
      Dockerfile: "COPY wörter sub/x*\n",
      "wörter/ü": "ü",
      "sub/x1": "1",
      "sub/y": "2",
      other: "3",
    });
    const { output } = await buildTo(folder);
    assert.deepEqual((await readdir(output, { recursive: true })).sort(), [
      "sub",
      "sub/x1",
      "wörter",
      "wörter/ü",
    ]);
  });

  test("lends secrets, and has none of other names", async () => {
    const folder = await contextOf("secrets", { Dockerfile: "SECRET one\nSECRET two\n" });
    await writeFile(path.join(roots.path, "secret"), "geheim");
    const secret = `id=one,src=${path.join(roots.path, "secret")}`;
    const { output, printed } = await buildTo(folder, ["--secret", secret]);
    assert.equal(await read(output, "secret-one"), "geheim");
    assert.equal(await read(output, "secret-two"), "absent");
    assert.doesNotMatch(printed, /geheim/);
    assert.ok(services.every((each) => !each.log().includes("geheim")));
  });

  test("lends its credentials for a registry", async () => {
    const folder = await contextOf("auth", {
      Dockerfile: "AUTH registry.example\nAUTH none.example\n",
    });
    const auth = Buffer.from("me:geheim").toString("base64");
    await writeFile(
      path.join(env["DOCKER_CONFIG"] ?? "", "config.json"),
      JSON.stringify({ auths: { "registry.example": { auth } } }),
    );
    const { output } = await buildTo(folder);
    assert.equal(await read(output, "auth-registry.example"), "me");
    assert.equal(await read(output, "auth-none.example"), "absent");
  });

  test("forwards to its SSH agent", async () => {
    const folder = await contextOf("agent", { Dockerfile: "AGENT default\nAGENT other\n" });
    const socketPath = path.join(roots.path, "agent.sock");
    // No identities: 12 and a count of 0.
    const none = Buffer.from([0, 0, 0, 5, 12, 0, 0, 0, 0]);
    const agent = net.createServer((socket) => {
      socket.on("data", () => socket.write(none));
    });
    await new Promise<void>((resolve) => agent.listen(socketPath, resolve));
    try {
      const { output } = await buildTo(folder, ["--ssh", `default=${socketPath}`]);
      assert.equal(await read(output, "agent-default"), none.toString("hex"));
      assert.equal(await read(output, "agent-other"), "absent");
    } finally {
      agent.close();
    }
  });

  test("tells of an image by digest, descriptor and full names", async () => {
    const folder = await contextOf("image", { Dockerfile: "SAY hello\n" });
    const metadata = path.join(roots.path, "metadata.json");
    const ran = await buildx(folder, [
      "build",
      "--metadata-file",
      metadata,
      "-t",
      "one",
      "-t",
      "host.example/two:3",
      ".",
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    const told = JSON.parse(await readFile(metadata, "utf8")) as Record<string, unknown>;
    assert.equal(told["image.name"], "docker.io/library/one:latest,host.example/two:3");
    assert.match(String(told["containerimage.digest"]), /^sha256:/);
    assert.equal(told["containerimage.config.digest"], undefined, "an attested image is an index");
  });

  test("receives archives of any size", async () => {
    const folder = await contextOf("tar", { Dockerfile: "SAY hello\n" });
    const tar = path.join(roots.path, "out.tar");
    const ran = await buildx(folder, ["build", "-o", `type=tar,dest=${tar}`, "."]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal((await stat(tar)).size, 15 * 1024 * 1024);
  });

  test("shows a failed step with its log and the lines it comes from", async () => {
    const folder = await contextOf("failing", { Dockerfile: "SAY hello\nFAIL boom\n" });
    const ran = await buildx(folder, ["build", "--progress=plain", "."]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /#3 ERROR: process "\/bin\/sh -c boom" did not complete/);
    assert.match(ran.stderr, / > \[2\/2\] FAIL boom:\n[\d.]+ boom\n------\n/);
    assert.match(ran.stderr, /Dockerfile:2\n-+\n {3}1 \| {5}SAY hello\n {3}2 \| >>> FAIL boom\n/);
    assert.match(ran.stderr, /ERROR: failed to solve: process .* exit code: 3\n$/);
  });

  test("refuses what it can't do in words that say so", async () => {
    const folder = await contextOf("refusing", { Dockerfile: "SAY hello\n" });
    const cases = [
      [["-f", "none"], "failed to read dockerfile: open none: no such file or directory"],
      [["--allow", "security.insecure"], "granting entitlement security.insecure is not allowed"],
      [["--build-arg", "BUILDKIT_SYNTAX=some/frontend"], "frontend image some/frontend is not"],
      [["-o", "type=nonesuch"], 'exporter "nonesuch" could not be found'],
      [["--platform", "linux/a b"], "platform specifier component must match"],
      [["--cache-to", "type=nonesuch"], "cache export of type nonesuch is not supported"],
      [["--cache-to", "type=registry,ref=x,mode=all"], "unknown cache export mode all"],
      [["--sbom=true"], "attestations of kind sbom are not supported"],
    ] as const;
    for (const [args, words] of cases) {
      const ran = await buildx(folder, ["build", ...args, "."]);
      assert.equal(ran.code, 1, args.join(" "));
      assert.ok(ran.stderr.includes(words), `${args.join(" ")}: ${ran.stderr}`);
    }
  });

  test("refuses a policy of sources rather than passing it over", async () => {
    const folder = await contextOf("policy", {
      Dockerfile: "SAY hello\n",
      "policy.json": '{"rules":[{"action":"DENY","selector":{"identifier":"docker-image://*"}}]}',
    });
    const policy = { EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: path.join(folder, "policy.json") };
    const ran = await run(["docker", "buildx", "build", "--progress=plain", "."], {
      ...{ env: { ...env, ...policy }, cwd: folder, timeoutMs: 60_000 },
    });
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /source policies are not supported/);
  });

  test("builds bake's targets together, which share a context, one from another", async () => {
    const folder = await contextOf("bake", {
      "docker-bake.hcl": `
        group "default" { targets = ["one", "two"] }
        target "one" {
          dockerfile = "D1"
          output = ["type=local,dest=o1"]
        }
        target "two" {
          dockerfile = "D2"
          output = ["type=local,dest=o2"]
        }`,
      D1: "COPY a\n",
      D2: "COPY b\n",
      a: "a",
      b: "b",
    });
    const ran = await buildx(folder, ["bake", "--progress=plain"]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(await readdir(path.join(folder, "o1")), ["a"]);
    assert.deepEqual(await readdir(path.join(folder, "o2")), ["b"]);
  });

  test("shows and prunes the cache, kept contexts with it", async () => {
    const folder = await contextOf("cache", { Dockerfile: "COPY .\n" });
    await buildTo(folder);
    const shown = await buildx(folder, ["du", "--verbose"]);
    assert.match(shown.stdout, /Type:\s+source\.local/);
    assert.match(shown.stdout, /Type:\s+regular/);
    const pruned = await buildx(folder, ["prune", "--force", "--filter", "type=source.local"]);
    assert.equal(pruned.code, 0, pruned.stderr);
    const left = await buildx(folder, ["du", "--verbose"]);
    assert.doesNotMatch(left.stdout, /source\.local/);
    assert.match(left.stdout, /Type:\s+regular/);
  });
});
