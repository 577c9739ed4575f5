/** A program that uses the engine through docker-py, as Debian packages it. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, it } from "node:test";
import { mustRun } from "@gantry/testkit";
import { composePython } from "@gantry/testkit/compose";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

it("docker-py runs, watches, fills, stops and builds what its user asks for", async () => {
  const program = path.join(import.meta.dirname, "../src/docker_py_program.py");
  const { command, env } = await composePython();
  const [python = ""] = command;
  const { stdout } = await mustRun([python, program], {
    env: { ...env, PATH: "/usr/bin:/bin", DOCKER_HOST: engine.dockerHost },
    timeoutMs: 180_000,
  });
  assert.match(stdout, /all went well/);
});
