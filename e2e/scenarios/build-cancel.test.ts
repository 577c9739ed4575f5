/** `POST /build/cancel`: ends a build by the name that its client gave it. */
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, it } from "node:test";
import { run } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import Docker from "dockerode";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const cancel = (id: string) => ask(engine, { method: "POST", path: `/build/cancel?id=${id}` });

it("a build that is cancelled ends with an error, and leaves nothing", async () => {
  const folder = await mkdtemp(path.join(engine.root, "cancel-"));
  await writeFile(path.join(folder, "Dockerfile"), "FROM busybox\nRUN sleep 98765\n");
  const docker = new Docker({ socketPath: path.join(engine.runRoot, "docker.sock") });
  // A parameter of the API that the client's types do not name.
  const options = { t: "cancelled", buildid: "mine" };
  const stream = await docker.buildImage({ context: folder, src: ["Dockerfile"] }, options);
  let shown = "";
  const ended = Promise.withResolvers<void>();
  await new Promise<void>((resolve) => {
    stream.on("data", (chunk: Buffer) => {
      shown += chunk.toString();
      if (shown.includes("Running in")) resolve();
    });
    stream.once("end", () => {
      ended.resolve();
    });
  });
  // Somebody else's name ends nothing.
  assert.equal((await cancel("other")).status, 200);
  await untilPasses(async () => {
    assert.equal((await run(["pgrep", "-f", "^sleep 98765$"])).code, 0);
  });
  assert.equal((await cancel("mine")).status, 200);
  await ended.promise;
  assert.match(shown, /"errorDetail":\{/);
  assert.doesNotMatch(shown, /Successfully built/);
  assert.equal(await engine.docker(["images", "-q", "cancelled"]), "");
  assert.equal(await engine.docker(["ps", "-aq"]), "");
  await untilPasses(async () => {
    assert.equal((await run(["pgrep", "-f", "^sleep 98765$"])).code, 1);
  });
});

it("a cancel without a name is refused", async () => {
  const answer = await cancel("");
  assert.equal(answer.status, 400);
  assert.deepEqual(JSON.parse(answer.body), { message: "build ID not provided" });
});
