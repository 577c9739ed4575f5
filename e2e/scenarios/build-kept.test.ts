/** The container of a step that failed in a classic build: kept for its user, as with dockerd, unless it is not wanted. */
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;

before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Builds what fails with 3 in its last step. @returns what is shown */
async function fail(args: readonly string[], dockerfile = failing): Promise<string> {
  const folder = await mkdtemp(path.join(engine.root, "kept-"));
  await writeFile(path.join(folder, "Dockerfile"), dockerfile);
  const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
  const ran = await engine.tryDocker(["build", ...args, folder], { env });
  assert.equal(ran.code, 3, ran.stdout + ran.stderr);
  return ran.stdout;
}

const failing = "FROM busybox\nENV A=b\nRUN echo one > /one\nRUN echo two > /two; exit 3\n";

const containers = async (): Promise<string[]> =>
  (await engine.docker(["ps", "-aq", "--no-trunc"])).split("\n").filter((id) => id !== "");

describe("the container of a failed step", () => {
  it("is listed with its command, exit code, and an image of the steps before it", async () => {
    const shown = await fail([]);
    const running = [...shown.matchAll(/ ---> Running in ([0-9a-f]{12})/g)].at(-1)?.[1] ?? "";
    const [id = "", ...others] = await containers();
    assert.deepEqual([id.slice(0, 12), others], [running, []]);
    assert.doesNotMatch(shown, new RegExp(`Removed intermediate container ${running}`));
    const format =
      "{{.Path}}|{{json .Args}}|{{.State.ExitCode}}|{{.State.Status}}|{{.Image}}|{{.Name}}";
    const inspected = (await engine.docker(["inspect", "--format", format, id])).split("|");
    const [command, args, code, status, image = "", name = ""] = inspected;
    assert.deepEqual(
      [command, args, code, status],
      ["/bin/sh", '["-c","echo two > /two; exit 3"]', "3", "exited"],
    );
    assert.match(name, /^\/[a-z]+_[a-z]+$/);
    const dangling = ["images", "-q", "--no-trunc", "--filter", "dangling=true"];
    assert.equal(await engine.docker(dangling), image);
    const before = ["run", "--rm", image, "sh", "-c", "cat /one; echo $A; ls /two"];
    const ran = await engine.tryDocker(before);
    assert.equal(ran.stdout, "one\nb\n");
    assert.match(ran.stderr, /\/two: No such file/);
    await engine.docker(["rm", id]);
    await engine.docker(["rmi", image]);
  });

  it("can be looked at, committed and started again, also after the services have been killed", async () => {
    await fail([]);
    for (const service of ["build-service", "container-service", "image-service"] as const)
      await engine.kill9(service);
    await engine.ready();
    const [id = ""] = await containers();
    assert.equal(await engine.docker(["diff", id]), "A /two");
    await engine.docker(["commit", id, "looked-at"]);
    assert.equal(
      await engine.docker(["run", "--rm", "looked-at", "cat", "/one", "/two"]),
      "one\ntwo",
    );
    assert.equal((await engine.tryDocker(["start", "-a", id])).code, 3);
    await engine.docker(["rm", id]);
    // The images of both steps before it go with what was made of them.
    const removed = (await engine.docker(["rmi", "looked-at"])).split("\n");
    assert.deepEqual(
      removed.map((line) => line.split(": ")[0]),
      ["Untagged", "Deleted", "Deleted", "Deleted"],
    );
    assert.equal(await engine.docker(["images", "-aq", "--filter", "dangling=true"]), "");
  });

  it("is gone with --force-rm, and the images of the steps before it stay", async () => {
    const shown = await fail(["--force-rm"]);
    assert.deepEqual(await containers(), []);
    const [, , last = ""] = [...shown.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id);
    assert.equal(await engine.docker(["images", "-q", "--filter", "dangling=true"]), last);
    await engine.docker(["rmi", last]);
  });

  it("is kept once when two builds wait for the same step", async () => {
    const dockerfile = "FROM busybox\nRUN sleep 1; exit 3\n";
    await Promise.all([fail([], dockerfile), fail([], dockerfile)]);
    const ids = await containers();
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.length === 1 || ids.length === 2, ids.join());
    await engine.docker(["rm", ...ids]);
    await engine.docker(["image", "prune", "-f"]);
  });

  it("is told of by an event from then on", async () => {
    const since = String(Date.now() / 1000);
    await fail([]);
    const [id = ""] = await containers();
    await engine.docker(["rm", id]);
    const until = String(Date.now() / 1000);
    const events = ["events", "--since", since, "--until", until, "--filter", `container=${id}`];
    assert.equal(await engine.docker([...events, "--format", "{{.Action}}"]), "create\ndestroy");
    await engine.docker(["image", "prune", "-f"]);
  });
});
