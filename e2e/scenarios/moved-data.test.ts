/** Data that was moved to another place while the engine was stopped. */
import assert from "node:assert/strict";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { TestEngine } from "@gantry/testkit/test-engine";

it("an engine's containers, volumes and images are the same when its data was moved", async () => {
  await using scratch = await openTempDir("gantry-moved-", "/tmp");
  await using first = await TestEngine.start();
  const context = path.join(first.root, "context");
  mkdirSync(context);
  writeFileSync(path.join(context, "Dockerfile"), "FROM busybox\nRUN echo built > /built\n");
  await first.docker(["build", "-q", "-t", "built", context]);
  const held = "named:/named";
  const main = ["sh", "-c", "cat /written; echo run >> /named/runs; exec sleep 1000"];
  const always = ["run", "-d", "--restart", "always", "--stop-timeout", "0", "--name", "always"];
  await first.docker([...always, "-v", held, "-v", "/nameless", "built", ...main]);
  await first.docker(["exec", "always", "sh", "-c", "echo kept > /written"]);
  const image = ["--mount", "type=image,src=busybox,dst=/image"];
  await first.docker(["create", "--name", "shows", ...image, "built", "ls", "/image/bin/busybox"]);
  await first.docker(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory"]);
  await first.docker(["create", "--name", "uses", "-v", "memory:/m", "built", "cat", "/built"]);
  await first.stop();

  const moved = path.join(scratch.path, "moved");
  renameSync(first.dataRoot, moved);
  await using engine = await TestEngine.start({ busybox: false, env: { GANTRY_DATA_ROOT: moved } });
  assert.equal(await engine.docker(["exec", "always", "cat", "/named/runs"]), "run\nrun");
  assert.equal(await engine.docker(["logs", "always"]), "kept");
  assert.equal(await engine.docker(["start", "-a", "shows"]), "/image/bin/busybox");
  assert.equal(await engine.docker(["start", "-a", "uses"]), "built");
  const sources = "{{range .Mounts}}{{.Source}}\n{{end}}";
  for (const source of (await engine.docker(["inspect", "-f", sources, "always"])).split("\n"))
    assert.ok(source.startsWith(`${moved}/`) || source === "", source);
  await engine.docker(["cp", path.join(context, "Dockerfile"), "shows:/copied"]);
  assert.equal(await engine.docker(["diff", "shows"]), "A /copied\nA /image");
  await engine.docker(["rm", "-fv", "always", "shows", "uses"]);
  await engine.docker(["volume", "rm", "named", "memory"]);
  assert.equal(await engine.docker(["volume", "ls", "-q"]), "");
  await engine.docker(["build", "-q", "-t", "again", context]);
  assert.equal(await engine.docker(["run", "--rm", "again", "cat", "/built"]), "built");
});
