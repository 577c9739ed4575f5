/** Copies in and out of a running container's /proc, /sys and /dev: of the root's own directories, never of the kernel's files. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { ask, messageOf } from "../src/http.ts";

let engine: TestEngine;
let work: string;
before(async () => {
  engine = await TestEngine.start();
  work = path.join(engine.root, "work");
  await mkdir(work);
  await writeFile(path.join(work, "note"), "a note\n");
  await engine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "100000"]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);

/** Names in the archive of a path. */
async function namesIn(container: string, folder: string): Promise<string[]> {
  const { stdout } = await mustRun(
    ["sh", "-c", `docker cp "$0" - | tar -t`, `${container}:${folder}`],
    {
      env: engine.clientEnv(),
    },
  );
  return stdout.split("\n").filter((name) => name !== "");
}

describe("a running container's kernel files", () => {
  for (const file of [
    "/proc/version",
    "/proc/self",
    "/proc/1/root/etc",
    "/sys/kernel",
    "/dev/null",
    "/dev/fd",
  ]) {
    it(`does not find ${file}`, async () => {
      for (const method of ["GET", "HEAD"]) {
        const answer = await ask(engine, {
          method,
          path: `/v1.47/containers/box/archive?path=${file}`,
        });
        assert.equal(answer.status, 404, method);
        if (method === "GET")
          assert.equal(messageOf(answer), `Could not find the file ${file} in container box`);
      }
    });
  }

  it("has /proc and /sys as the empty directories of the root", async () => {
    assert.deepEqual(await namesIn("box", "/proc"), ["proc/"]);
    assert.deepEqual(await namesIn("box", "/sys"), ["sys/"]);
  });

  it("puts what is copied to /proc into the root below, and leaves the container its own", async () => {
    await docker("cp", path.join(work, "note"), "box:/proc/");
    assert.deepEqual(await namesIn("box", "/proc"), ["proc/", "proc/note"]);
    assert.match(
      await docker(
        "exec",
        "box",
        "sh",
        "-c",
        "test ! -e /proc/note && cat /proc/version && ls /sys/kernel /dev/pts/ptmx",
      ),
      /^Linux version /,
    );
  });

  it("shows a bind in one of the directories", async () => {
    await docker(
      "run",
      "-d",
      "--name",
      "bound",
      "-v",
      `${work}:/dev/work`,
      "busybox",
      "sleep",
      "100000",
    );
    assert.deepEqual(await namesIn("bound", "/dev/work"), ["work/", "work/note"]);
    const answer = await ask(engine, {
      path: "/v1.47/containers/bound/archive?path=/proc/version",
    });
    assert.equal(answer.status, 404);
  });
});
