/** kill -9 of container-service in the middle of create, start, stop, cp and rm leaves no mount behind. */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "@gantry/testkit/eventually";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  await engine.docker(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory"]);
  // Two layers: a view of them has to be mounted.
  const id = await engine.docker(["create", "busybox", "true"]);
  await writeFile(path.join(engine.root, "file"), "x");
  await engine.docker(["cp", path.join(engine.root, "file"), `${id}:/home/file`]);
  await engine.docker(["commit", id, "layered"]);
  await engine.docker(["rm", id]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const name = "victim";
const created = [
  ...["create", "--name", name, "-v", "memory:/m", "-v", "filled:/home", "--tmpfs", "/t"],
  ...["--mount", "type=image,src=layered,dst=/i", "layered", "sleep", "1000"],
];

/** What each operation needs to have happened before, and itself. */
const operations: readonly (readonly [string, readonly (readonly string[])[], () => string[]])[] = [
  ["create", [], () => [...created]],
  ["start", [created], () => ["start", name]],
  ["stop", [created, ["start", name]], () => ["stop", "-t", "0", name]],
  ["rm", [created], () => ["rm", "-v", name]],
  ["rm -f", [created, ["start", name]], () => ["rm", "-f", "-v", name]],
  ["cp", [created], () => ["cp", path.join(engine.root, "file"), `${name}:/home/copied`]],
];

/** After how long the service is killed: from the very beginning to about when it is done. */
const delaysMs = [10, 60];

async function hostMounts(): Promise<string[]> {
  return (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(engine.root));
}

/** What only exists while something is under way. */
function workFolders(): string[] {
  const data = path.join(engine.dataRoot, "container-service");
  return [
    ...globSync(path.join(data, "image-mounts/*")),
    ...globSync(path.join(data, "volumes/*/fill-*")),
    ...globSync(path.join(data, "volumes-trash/*")),
    ...globSync(path.join(engine.runRoot, "container-service/roots/*")),
  ];
}

describe("kill -9 of container-service", () => {
  for (const [what, first, operation] of operations) {
    it(`in the middle of ${what} leaves no mount, and the container can be removed`, async () => {
      for (const delayMs of delaysMs) {
        for (const args of first) await engine.docker(args);
        const running = engine.tryDocker(operation());
        await pause(delayMs);
        await engine.kill9("container-service");
        await running;
        await engine.ready();
        const removed = await engine.tryDocker(["rm", "-f", "-v", name]);
        if (removed.code !== 0) assert.match(removed.stderr, /No such container: victim/);
        await eventually(async () => {
          assert.deepEqual(await hostMounts(), []);
          assert.deepEqual(workFolders(), []);
          return true;
        });
        const names = (await engine.docker(["volume", "ls", "-q"])).split("\n");
        assert.ok(names.includes("memory"), `the named volume is gone: ${names.join()}`);
        for (const volume of names.filter((each) => each !== "memory" && each !== ""))
          await engine.docker(["volume", "rm", volume]);
      }
    });
  }

  it("while a container ran that has ended since lets go of what it held", async () => {
    await engine.docker(created);
    await engine.docker(["start", name]);
    assert.equal((await hostMounts()).length, 2);
    const pid = Number(await engine.docker(["inspect", "-f", "{{.State.Pid}}", name]));
    await engine.kill9("container-service");
    process.kill(pid, "SIGKILL");
    await engine.ready();
    await eventually(async () => (await hostMounts()).length === 0);
    await engine.docker(["rm", "-v", name]);
  });
});
