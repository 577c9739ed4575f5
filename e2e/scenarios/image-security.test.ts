/** Classes S12 and S18 of hostile input: configs of images that would steer the engine, and who sees its files. */
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { debianProgram } from "@gantry/testkit/debian";
import {
  type LayerEntry,
  makeDockerArchive,
  makeImage,
  makeLayer,
} from "@gantry/testkit/image-maker";
import { run } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);

const folder = (name: string): LayerEntry => ({
  header: { name: `${name}/`, type: "directory", mode: 0o755 },
});
const link = (name: string, linkname: string): LayerEntry => ({
  header: { name, type: "symlink", linkname },
});

/** An image of busybox with a config of one's own. */
async function load(name: string, config: object, more: readonly LayerEntry[] = []): Promise<void> {
  const busybox = await readFile(await debianProgram("busybox-static", "/bin/busybox"));
  const layer = await makeLayer([
    ...["bin", "etc", "proc", "dev", "sys", "tmp"].map(folder),
    { header: { name: "bin/busybox", mode: 0o755 }, content: busybox },
    { header: { name: "etc/mark", mode: 0o644 }, content: "of the image" },
    ...more,
  ]);
  const image = makeImage({ layers: [layer], config: { ...config } });
  const archive = await makeDockerArchive([{ image, tags: [name] }]);
  await engine.docker(["load", "-q"], { input: archive });
}

const busybox = (script: string): string[] => ["/bin/busybox", "sh", "-c", script];

describe("S12: an image's config", () => {
  it("names volumes inside the container only, and they begin with the container's files", async () => {
    const host = path.join(engine.root, "host-only");
    await mkdir(host);
    await writeFile(path.join(host, "secret"), "of the host");
    const up = "../".repeat(20);
    const volumes = [`/${up}climbs`, `/out${host}`, "/out/etc", "/up/etc"];
    await load("steers:1", { Volumes: Object.fromEntries(volumes.map((each) => [each, {}])) }, [
      link("out", "/"),
      link("up", `/${up}`),
    ]);
    const list = `for each in /climbs ${host} /etc; do echo $each; /bin/busybox ls $each; done`;
    const shown = (await docker("run", "--rm", "steers:1", ...busybox(list))).split("\n");
    assert.deepEqual(shown.slice(0, 3), ["/climbs", host, "/etc"], "a volume has the host's files");
    assert.ok(shown.includes("mark"), "the image's own files are not in its volume");
    assert.ok(!shown.includes("shadow"), "the host's /etc is in a volume");
    assert.deepEqual(await readdir(host), ["secret"]);
  });

  it("has no labels that anybody obeys, and no folder or user outside", async () => {
    const proof = path.join(engine.root, "proof");
    await load("steers:2", {
      Labels: {
        "containerd.io/restart.loguri": `binary:///bin/touch?${proof}`,
        "containerd.io/restart.logpath": proof,
        "io.containerd.image.name": "docker.io/library/busybox:latest",
        "com.docker.network.bridge.name": "lo",
      },
      WorkingDir: `/${"../".repeat(20)}${proof}`,
      User: "0:0",
    });
    const ran = await docker("run", "--name", "steered", "steers:2", ...busybox("pwd; echo said"));
    assert.deepEqual(ran.split("\n"), [proof, "said"]);
    assert.equal(await docker("logs", "steered"), ran);
    await docker("rm", "steered");
    assert.ok(!(await readdir(engine.root)).includes("proof"));
    const busyboxId = await docker("inspect", "--format", "{{.Id}}", "busybox");
    assert.notEqual(await docker("inspect", "--format", "{{.Id}}", "steers:2"), busyboxId);
  });
});

describe("S18: the engine's files", () => {
  it("are out of sight of who is not root, programs with the set-user-ID bit above all", async () => {
    const script = "cp /bin/busybox /v/su && chmod 4755 /v/su";
    await docker("run", "--rm", "-v", "kept:/v", "busybox", "sh", "-c", script);
    const program = await docker("volume", "inspect", "--format", "{{.Mountpoint}}/su", "kept");
    // The folder above is the test's own, and nobody's business either.
    await chmod(engine.root, 0o755);
    const asNobody = async (...command: string[]) =>
      await run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...command]);
    assert.equal((await asNobody("ls", engine.root)).code, 0);
    const names = await readdir(engine.dataRoot);
    assert.ok(names.includes("image-service"));
    for (const name of names) {
      const seen = await asNobody("ls", "-d", `${path.join(engine.dataRoot, name)}/.`);
      assert.match(seen.stderr, /Permission denied/, `${name} can be entered`);
    }
    assert.notEqual((await asNobody("stat", program)).code, 0);
    assert.notEqual((await asNobody(program, "id", "-u")).code, 0);
    await docker("volume", "rm", "kept");
  });
});
