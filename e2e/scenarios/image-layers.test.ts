/** Images at their edges: more layers than Docker's own limit was, and programs of another machine. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { registerBinfmt } from "@gantry/testkit/binfmt";
import { debianProgram } from "@gantry/testkit/debian";
import {
  type LayerEntry,
  makeDockerArchive,
  makeImage,
  makeLayer,
  putImage,
} from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start({ busybox: false });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);

describe("an image of 140 layers", () => {
  const depth = 140;
  /** Where the folder `reset` begins anew. */
  const opaqueAt = 100;

  const folder = (name: string): LayerEntry => ({
    header: { name: `${name}/`, type: "directory", mode: 0o755 },
  });
  const file = (name: string, content: string | Uint8Array = ""): LayerEntry => ({
    header: { name, mode: 0o755 },
    content,
  });

  async function layerOf(index: number): Promise<Uint8Array> {
    if (index === 0) {
      const busybox = await readFile(await debianProgram("busybox-static", "/bin/busybox"));
      const folders = ["bin", "n", "reset", "proc", "dev", "sys"].map(folder);
      return await makeLayer([...folders, file("bin/busybox", busybox)]);
    }
    return await makeLayer([
      file(`n/${String(index)}`),
      ...(index % 2 === 1 && index > 1 ? [file(`n/.wh.${String(index - 1)}`)] : []),
      file("last", String(index)),
      ...(index === opaqueAt ? [file("reset/.wh..wh..opq")] : []),
      file(`reset/${String(index)}`),
    ]);
  }

  const seen = async (image: string): Promise<string[]> => {
    const script = "echo /n/* | wc -w; ls /n | head -n 2; cat /last; echo; echo /reset/* | wc -w";
    const sh = ["/bin/busybox", "sh", "-c", `export PATH=/b; /bin/busybox --install /b; ${script}`];
    return (await docker("run", "--rm", "--tmpfs", "/b:exec", image, ...sh)).split("\n");
  };

  it("is pulled, run, committed, pushed and saved as any other", async () => {
    await using registry = await startRegistry({ dir: path.join(engine.root, "deep") });
    const layers = await Promise.all(Array.from({ length: depth }, (_, index) => layerOf(index)));
    await putImage(registry.host, "deep", "1", makeImage({ layers }));
    const name = `${registry.host}/deep`;
    await docker("pull", "-q", `${name}:1`);
    const all = ["70", "1", "101", "139", String(depth - opaqueAt)];
    assert.deepEqual(await seen(`${name}:1`), all);

    const change = "/bin/busybox rm /n/1 && /bin/busybox touch /n/2";
    await docker("run", "--name", "changed", `${name}:1`, "/bin/busybox", "sh", "-c", change);
    assert.deepEqual((await docker("diff", "changed")).split("\n").sort(), [
      "A /n/2",
      "C /n",
      "D /n/1",
    ]);
    await docker("commit", "changed", `${name}:2`);
    await docker("rm", "changed");
    await docker("push", "-q", `${name}:2`);
    const saved = path.join(engine.root, "deep.tar");
    await docker("save", "-o", saved, `${name}:2`);
    const changed = ["70", "101", "103", "139", String(depth - opaqueAt)];
    await docker("rmi", `${name}:1`);
    for (const back of [
      ["pull", "-q", `${name}:2`],
      ["load", "-q", "-i", saved],
    ]) {
      await docker("rmi", `${name}:2`);
      await docker(...back);
      const count = "{{len .RootFS.Layers}}";
      assert.equal(await docker("inspect", "--format", count, `${name}:2`), String(depth + 1));
      assert.deepEqual(await seen(`${name}:2`), changed);
    }
  });
});

describe("an image for another machine", () => {
  const hello = fileURLToPath(new URL("../../native/build/hello", import.meta.url));

  /** The beginning of a program for s390x: 64 bits, the high byte first. */
  function foreignProgram(): Buffer {
    const program = Buffer.alloc(64);
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 2, 1]).copy(program);
    program.writeUInt16BE(2, 16);
    program.writeUInt16BE(22, 18);
    return program;
  }

  /** Has the kernel run such programs by another one, until it is disposed. */
  function register(): Promise<AsyncDisposable> {
    const bytes = foreignProgram().subarray(0, 20);
    const escaped = (each: (byte: number, at: number) => number): string =>
      [...bytes].map((byte, at) => `\\x${each(byte, at).toString(16).padStart(2, "0")}`).join("");
    return registerBinfmt({
      magic: escaped((byte) => byte),
      mask: escaped((_, at) => (at < 7 || at >= 18 ? 0xff : 0)),
      interpreter: hello,
    });
  }

  it("runs, with a warning, where the kernel knows who can run it", async () => {
    const layer = await makeLayer([
      { header: { name: "program", mode: 0o755 }, content: foreignProgram() },
    ]);
    const image = makeImage({
      layers: [layer],
      architecture: "s390x",
      config: { Cmd: ["/program"] },
    });
    const archive = await makeDockerArchive([{ image, tags: ["foreign:1"] }]);
    await engine.docker(["load"], { input: archive });
    const run = ["run", "--rm", "foreign:1"];
    const unknown = await engine.tryDocker(run);
    assert.equal(unknown.code, 255);
    assert.match(unknown.stderr, /^exec \/program: exec format error$/m);
    await using _type = await register();
    const known = await engine.tryDocker(run);
    assert.match(known.stdout, /Hello/);
    assert.match(
      known.stderr,
      /^WARNING: The requested image's platform \(linux\/s390x\) does not match/,
    );
    assert.equal(known.code, 0);
    const chosen = await engine.tryDocker([
      "run",
      "--rm",
      "--platform",
      "linux/s390x",
      "foreign:1",
    ]);
    assert.deepEqual([chosen.code, chosen.stderr], [0, ""]);
  });
});
