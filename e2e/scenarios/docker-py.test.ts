/** A program that uses the engine through docker-py, as Debian packages it. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, it } from "node:test";
import { mustRun } from "@gantry/testkit";
import { unpackDebianPackage } from "@gantry/testkit/debian";
import { TestEngine } from "@gantry/testkit/test-engine";

/** python3-docker, and what it needs besides Python itself. */
const packages = [
  "python3-docker",
  "python3-requests",
  "python3-urllib3",
  "python3-websocket",
  "python3-idna",
  "python3-chardet",
  "python3-charset-normalizer",
  "python3-certifi",
  "python3-packaging",
  "python3-six",
  "python3-distutils",
];
const folders = ["usr/lib/python3/dist-packages", "usr/lib/python3.11"];

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

it("docker-py runs, watches, fills, stops and builds what its user asks for", async () => {
  const roots: string[] = [];
  for (const name of packages) roots.push(await unpackDebianPackage(name));
  const program = path.join(import.meta.dirname, "../src/docker_py_program.py");
  const { stdout } = await mustRun(["/usr/bin/python3", program], {
    env: {
      PATH: "/usr/bin:/bin",
      DOCKER_HOST: engine.dockerHost,
      PYTHONPATH: roots
        .flatMap((root) => folders.map((folder) => path.join(root, folder)))
        .join(":"),
    },
    timeoutMs: 180_000,
  });
  assert.match(stdout, /all went well/);
});
