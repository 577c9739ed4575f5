/** Containers of a classic build's steps that `rm=0` keeps, as dockerd keeps them. */
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;

before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
afterEach(async () => {
  const ids = await containers();
  if (ids.length > 0) await engine.docker(["rm", "-fv", ...ids]);
});

const dockerfile = `FROM busybox
LABEL x=y
WORKDIR /w
RUN echo one > one; rm /bin/vi; mkdir -p d; chown 5:6 d; echo $((RANDOM)) > d/r
VOLUME /v
CMD ["sh", "-c", "true"]
COPY f /f
`;

interface Built {
  readonly code: number;
  readonly shown: string;
  /** Twelve digits of each container's ID. */
  readonly told: readonly string[];
}

async function build(args: readonly string[], text = dockerfile): Promise<Built> {
  const folder = await mkdtemp(path.join(engine.root, "rm-"));
  await writeFile(path.join(folder, "Dockerfile"), text);
  await writeFile(path.join(folder, "f"), "hello\n");
  const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
  const ran = await engine.tryDocker(["build", ...args, folder], { env });
  const told = [...ran.stdout.matchAll(/^ ---> Running in ([0-9a-f]{12})$/gm)];
  return { code: ran.code, shown: ran.stdout, told: told.map(([, id]) => id ?? "") };
}

/** Oldest first. */
const containers = async (): Promise<string[]> =>
  (await engine.docker(["ps", "-aq"]))
    .split("\n")
    .filter((id) => id !== "")
    .reverse();

const inspect = async (ids: readonly string[], format: string): Promise<string[]> =>
  (await engine.docker(["inspect", "--format", format, ...ids])).split("\n");

describe("a classic build that keeps its containers", () => {
  it("has one for each step that runs or changes the config, over the image before the step", async () => {
    const { shown, told } = await build(["--rm=false", "-t", "kept"]);
    assert.doesNotMatch(shown, /Removed intermediate container/);
    const ids = await containers();
    assert.deepEqual(ids, told);
    assert.deepEqual(
      await inspect(ids, "{{json .Config.Cmd}} {{.State.Status}} {{.State.ExitCode}}"),
      [
        '["/bin/sh","-c","#(nop) ","LABEL x=y"] created 0',
        '["/bin/sh","-c","#(nop) WORKDIR /w"] created 0',
        '["/bin/sh","-c","echo one > one; rm /bin/vi; mkdir -p d; chown 5:6 d; echo $((RANDOM)) > d/r"] exited 0',
        '["/bin/sh","-c","#(nop) ","VOLUME [/v]"] created 0',
        '["/bin/sh","-c","#(nop) ","CMD [\\"sh\\" \\"-c\\" \\"true\\"]"] created 0',
      ],
    );
    const arrows = [...shown.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id);
    const images = (await inspect(ids, "{{.Image}}")).map((id) => id.slice(7, 19));
    assert.deepEqual(images, arrows.slice(0, 5));
    const config = "{{json .Config.Labels}} {{.Config.WorkingDir}} {{.HostConfig.LogConfig.Type}}";
    assert.deepEqual(await inspect(ids.slice(1, 3), config), Array(2).fill('{"x":"y"} /w none'));
  });

  it("has the tree of a RUN in the container and in the layer", async () => {
    const { told } = await build(["--rm=false", "--no-cache", "-t", "kept"]);
    const run = told[2] ?? "";
    const changes = ["C /bin", "D /bin/vi", "C /w", "A /w/d", "A /w/d/r", "A /w/one"];
    assert.deepEqual((await engine.docker(["diff", run])).split("\n"), changes);
    const look = "cat /w/d/r; stat -c '%u:%g %a' /w/d; ls /bin/vi";
    const lookInto = async (image: string) => {
      const ran = await engine.tryDocker(["run", "--rm", image, "sh", "-c", look]);
      return [ran.stdout, ran.stderr];
    };
    const ofImage = await lookInto("kept");
    await engine.docker(["commit", run, "committed"]);
    assert.match(ofImage[0] ?? "", /^\d+\n5:6 755\n$/);
    assert.match(ofImage[1] ?? "", /\/bin\/vi: No such file/);
    assert.deepEqual(await lookInto("committed"), ofImage);
    // It runs again over what it has left, and the image is not the worse for it.
    const again = await engine.tryDocker(["start", "-a", run]);
    assert.deepEqual(
      [again.code, again.stderr],
      [0, "rm: can't remove '/bin/vi': No such file or directory\n"],
    );
    assert.deepEqual(await lookInto("kept"), ofImage);
    await engine.docker(["rmi", "committed"]);
  });

  it("keeps none of steps that the cache has", async () => {
    await build(["--rm=false"]);
    const known = await containers();
    const { told } = await build(["--rm=false"]);
    assert.deepEqual([told, await containers()], [[], known]);
  });

  it("keeps those before a step that fails, and that step's", async () => {
    const failing = "FROM busybox\nENV A=b\nRUN true\nRUN exit 3\n";
    const { code, told } = await build(["--rm=false", "--no-cache"], failing);
    assert.equal(code, 3);
    assert.deepEqual(await containers(), told);
    assert.deepEqual(await inspect(told, "{{.State.ExitCode}}"), ["0", "0", "3"]);
  });

  it("keeps none when a failing step's is to be removed", async () => {
    const failing = "FROM busybox\nENV A=b\nRUN true\nRUN exit 3\n";
    const { code, shown } = await build(["--rm=false", "--force-rm", "--no-cache"], failing);
    assert.equal(code, 3);
    assert.equal(shown.match(/Removed intermediate container/g)?.length, 3);
    assert.deepEqual(await containers(), []);
  });
});
