/**
 * Images of a classic build's steps, as dockerd has them over containerd's image store: each ID after `--->` can
 * be used like any image's, is in no plain list, and goes with the last image that was made of it.
 */
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
let folder: string;

before(async () => {
  engine = await TestEngine.start();
  folder = await mkdtemp(path.join(engine.root, "steps-"));
  await writeFile(path.join(folder, "f"), "hello\n");
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await engine.docker(["image", "prune", "-f"]);
});

const dockerfile = `FROM busybox
ENV A=b
WORKDIR /w
COPY f /w/f
RUN echo one > one
CMD ["sh"]
RUN echo two > two
LABEL x=y
`;

/** Builds, and finds the IDs after the arrows: of the base, then of the steps. */
async function build(args: readonly string[], text = dockerfile, code = 0): Promise<string[]> {
  await writeFile(path.join(folder, "Dockerfile"), text);
  const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
  const ran = await engine.tryDocker(["build", ...args, folder], { env });
  assert.equal(ran.code, code, ran.stdout + ran.stderr);
  return [...ran.stdout.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id ?? "");
}

const lines = async (args: readonly string[]): Promise<string[]> =>
  (await engine.docker(args)).split("\n").filter((line) => line !== "");
const images = (...args: string[]): Promise<string[]> => lines(["images", "-q", ...args]);
/** Twelve digits of the IDs that a removal tells of. */
const deleted = async (args: readonly string[]): Promise<string[]> =>
  (await lines(args)).map((line) => line.replace(/sha256:([0-9a-f]{12})[0-9a-f]*$/, "$1"));
const sorted = (ids: readonly string[]): string[] => ids.toSorted();

describe("images of steps", () => {
  it("can be run, inspected, tagged, committed, saved and seen in the history", async () => {
    const ids = await build(["-t", "img"]);
    assert.equal(new Set(ids).size, 8);
    const [base = "", env = "", workdir = "", copied = "", one = ""] = ids;
    const run = (image: string, ...command: string[]) =>
      engine.docker(["run", "--rm", image, ...command]);
    assert.equal(
      await run(one, "sh", "-c", "pwd; ls; cat one f; echo $A"),
      "/w\nf\none\none\nhello\nb",
    );
    assert.equal(await run(workdir, "pwd"), "/w");
    assert.match(await run(env, "env"), /^A=b$/m);
    const parents = await lines(["inspect", "-f", "{{slice .Parent 7 19}}", ...ids.slice(1)]);
    assert.deepEqual(parents, ids.slice(0, -1));
    const history = await lines(["history", "-q", "img"]);
    assert.deepEqual(history, ids.toReversed());
    assert.deepEqual(await lines(["history", "-q", copied]), [copied, workdir, env, base]);
    await engine.docker(["tag", copied, "mid:1"]);
    await engine.docker(["save", "-o", path.join(folder, "mid.tar"), copied]);
    await engine.docker(["create", "--name", "box", one]);
    const committed = await engine.docker(["commit", "box", "mine"]);
    const parent = await engine.docker(["inspect", "-f", "{{slice .Parent 7 19}}", committed]);
    assert.equal(parent, one);
    await engine.docker(["rm", "box"]);
    await engine.docker(["rmi", "mine", "img", "mid:1"]);
    assert.deepEqual(await images("-a"), [base]);
  });

  it("are listed with all and by their parents' age, and are no leaves", async () => {
    const ids = await build(["-t", "img"]);
    const [base = "", , , copied = "", one = ""] = ids;
    const last = ids.at(-1) ?? "";
    assert.deepEqual(sorted(await images()), sorted([base, last]));
    assert.deepEqual(sorted(await images("-a")), sorted(ids));
    assert.deepEqual(await images("-f", "dangling=true"), []);
    assert.deepEqual(sorted(await images("-a", "-f", "dangling=true")), sorted(ids.slice(1, -1)));
    assert.deepEqual(
      sorted(await images("-a", "-f", `since=${copied}`)),
      sorted(ids.slice(ids.indexOf(one))),
    );
    await engine.docker(["rmi", "img"]);
  });

  it("are the same from the cache, also of a build that was pruned", async () => {
    const ids = await build(["-t", "img"]);
    assert.deepEqual(await build(["-t", "img"]), ids);
    const pruned = (await deleted(["image", "prune", "-f"])).filter((line) =>
      line.startsWith("deleted"),
    );
    assert.deepEqual(sorted(pruned), sorted(ids.slice(1, -1).map((id) => `deleted: ${id}`)));
    assert.deepEqual(await lines(["history", "-q", "img"]), [
      ids.at(-1) ?? "",
      ...Array.from({ length: 7 }, () => "<missing>"),
    ]);
    assert.deepEqual(await build(["-t", "img"]), ids);
    assert.deepEqual(await lines(["history", "-q", "img"]), ids.toReversed());
    await engine.docker(["rmi", "img"]);
  });

  it("go with the last image made of them, but for those that are used", async () => {
    const ids = await build(["-t", "img"]);
    const [, , , copied = "", one = ""] = ids;
    const down = (from: number, to: number) =>
      ids
        .slice(from, to)
        .toReversed()
        .map((id) => `Deleted: ${id}`);
    await engine.docker(["tag", copied, "mid:1"]);
    assert.deepEqual(await deleted(["rmi", "img"]), ["Untagged: img:latest", ...down(4, 8)]);
    assert.deepEqual(await deleted(["rmi", "mid:1"]), ["Untagged: mid:1", ...down(1, 4)]);
    await build(["-t", "img"]);
    await engine.docker(["run", "-d", "--name", "holder", one, "sleep", "1000"]);
    assert.deepEqual(await deleted(["rmi", "img"]), ["Untagged: img:latest", ...down(5, 8)]);
    const refused = await engine.tryDocker(["rmi", one]);
    assert.match(refused.stderr, /cannot be forced\) - image is being used by running container/);
    await engine.docker(["rm", "-f", "holder"]);
    assert.deepEqual(await deleted(["rmi", one]), down(1, 5));
    await build(["-t", "img"]);
    assert.deepEqual(await deleted(["rmi", "--no-prune", "img"]), [
      "Untagged: img:latest",
      ...down(7, 8),
    ]);
  });

  it("of a build that fails are there, in every stage, and its container stands over the last", async () => {
    const text =
      "FROM busybox AS a\nRUN echo x > /x\nFROM busybox\nCOPY --from=a /x /y\nRUN exit 4\n";
    const ids = await build([], text, 4);
    const [base = "", x = "", , copied = ""] = ids;
    assert.deepEqual(sorted(await images()), sorted([base, x, copied]));
    const [container = ""] = await lines(["ps", "-aq"]);
    assert.equal(
      await engine.docker(["inspect", "-f", "{{slice .Image 7 19}}", container]),
      copied,
    );
    assert.equal(await engine.docker(["run", "--rm", copied, "cat", "/y"]), "x");
    await engine.docker(["rm", container]);
  });

  it("survive kills of the services, and nothing is left once they are pruned", async () => {
    const ids = await build(["-t", "img"]);
    for (const service of ["build-service", "image-service"] as const) await engine.kill9(service);
    await engine.ready();
    assert.deepEqual(await lines(["history", "-q", "img"]), ids.toReversed());
    assert.deepEqual(await build(["-t", "img"]), ids);
    await engine.docker(["image", "rm", "img"]);
    assert.deepEqual(await images("-a"), ids.slice(0, 1));
  });

  it("of a build without steps is the base's, which gets the name", async () => {
    const [base = ""] = await build(["-t", "same"], "FROM busybox\n");
    assert.deepEqual(await images("same"), [base]);
    assert.deepEqual(await lines(["rmi", "same"]), ["Untagged: same:latest"]);
  });
});
