import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { eventually } from "@gantry/testkit";
import { type LayerEntry, type MadeImage, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { emptyDisk, inTrash, onDisk } from "./disk.ts";
import { load, openImageService, type TestService } from "./image-client.ts";
import { archiveOf, oneLayer } from "./sample-images.ts";

const file = (name: string, content: string | Uint8Array): LayerEntry => ({
  header: { name, mode: 0o644 },
  content,
});

const manifestOf = (config: string, layers: readonly string[]): LayerEntry =>
  file("manifest.json", JSON.stringify([{ Config: config, RepoTags: ["evil:1"], Layers: layers }]));

/** The service's own peak memory. */
const peakMib = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

describe("a hostile archive", () => {
  let service: TestService;
  before(async () => {
    service = await openImageService();
  });
  after(async () => {
    await service[Symbol.asyncDispose]();
  });

  const bytesOnDisk = (): number =>
    Number(execFileSync("du", ["-sB1", service.dataDir], { encoding: "utf8" }).split("\t")[0]);

  /** Refused, with nothing left on disk, in the same process, whose memory stays small. */
  async function refused(name: string, archive: Uint8Array, message?: RegExp): Promise<void> {
    const { pid } = service.process;
    const kind = "invalid_argument";
    await assert.rejects(load(service, archive), { kind, ...(message && { message }) }, name);
    await service.images.pruneImages({});
    await eventually(() => {
      assert.deepEqual(onDisk(service.dataDir), emptyDisk, name);
      assert.deepEqual(inTrash(service.dataDir), [], name);
      return true;
    });
    assert.ok(bytesOnDisk() < 8 * 1024 * 1024, name);
    assert.equal(service.process.pid, pid);
    process.kill(pid, 0);
    assert.ok(peakMib(pid) < 300, `${name}: ${peakMib(pid)} MiB`);
  }

  it("cannot name files of the machine as parts of an image", async () => {
    const config = Buffer.from((await oneLayer("x")).config);
    const passwd = "../../../../../../etc/passwd";
    const link = (name: string, linkname: string): LayerEntry => ({
      header: { name, type: "symlink", linkname },
    });
    const device = (name: string): LayerEntry => ({
      header: { name, type: "character-device", devmajor: 1, devminor: 5 },
    });
    const archives: Readonly<Record<string, readonly LayerEntry[]>> = {
      "config outside": [manifestOf(passwd, [])],
      "config absolute": [manifestOf("/etc/passwd", [])],
      "config by link": [manifestOf("c", []), link("c", "/etc/passwd")],
      "config by a folder's link": [manifestOf("d/passwd", []), link("d", "/etc")],
      "layer outside": [file("c", config), manifestOf("c", [passwd])],
      "layer by link": [file("c", config), manifestOf("c", ["l"]), link("l", passwd)],
      "layer is a device": [file("c", config), manifestOf("c", ["l"]), device("l")],
      "layer is a pipe": [
        file("c", config),
        manifestOf("c", ["l"]),
        { header: { name: "l", type: "fifo" } },
      ],
      "layer is a folder": [
        file("c", config),
        manifestOf("c", ["l"]),
        { header: { name: "l/", type: "directory" } },
      ],
      "manifest is a link": [link("manifest.json", "/etc/passwd")],
      "manifest is a pipe": [{ header: { name: "manifest.json", type: "fifo" } }],
      "manifest is a device": [device("manifest.json")],
      "a ring of links": [link("manifest.json", "b"), link("b", "manifest.json")],
    };
    for (const [name, entries] of Object.entries(archives)) {
      await refused(name, await makeLayer(entries));
    }
    const escaping = [file("../../../gantry-was-here", "x"), manifestOf("c", [])];
    await refused("name outside", await makeLayer(escaping));
  });

  it("cannot fill memory by documents or names", async () => {
    await refused(
      "a huge manifest.json",
      gzipSync(await makeLayer([file("manifest.json", Buffer.alloc(64 * 1024 * 1024, 32))])),
      /larger than|too large/,
    );
    await refused(
      "a manifest of too many images",
      await makeLayer([
        file("manifest.json", JSON.stringify(Array(2000).fill({ Config: "c", Layers: [] }))),
      ]),
      /more than 1024 entries/,
    );
    await refused(
      "nesting without end",
      await makeLayer([file("manifest.json", "[".repeat(1_000_000))]),
    );
    const huge = gzipSync(
      await makeLayer([file("c", Buffer.alloc(32 * 1024 * 1024, 32)), manifestOf("c", [])]),
    );
    await refused("a huge config", huge);
    const deep = `${"d/".repeat(3000)}f`;
    await refused("a path without end", await makeLayer([file(deep, "x")]));
  });

  it("cannot fill the disk by what it decompresses to", async () => {
    const zeros = Buffer.alloc(160 * 1024 * 1024);
    await refused("a bomb", zstdCompressSync(zeros), /times larger/);
    const layer = zstdCompressSync(zeros);
    const image = makeImage({ layers: [layer], gzip: false });
    await refused("a bomb as layer", await archiveOf(image, "bomb:1"), /times larger/);
  });

  it("cannot lie about its layers", async () => {
    const image = await oneLayer("true");
    const [layer = ""] = image.blobs.keys();
    const changed = new Map(image.blobs).set(layer, gzipSync(Buffer.alloc(10_240)));
    const lying: MadeImage = { ...image, blobs: changed };
    await refused("another layer", await archiveOf(lying, "evil:1"));
    const config = JSON.parse(Buffer.from(image.config).toString()) as { rootfs: object };
    const none = Buffer.from(
      JSON.stringify({ ...config, rootfs: { type: "layers", diff_ids: [] } }),
    );
    await refused(
      "fewer diff IDs than layers",
      await makeLayer([file("c", none), manifestOf("c", ["l"])]),
    );
  });

  it("of a hundred thousand small entries takes bounded memory", async () => {
    const entries = Array.from({ length: 100_000 }, (_, index) =>
      file(`dir-${index % 100}/file-${index}`, ""),
    );
    const image = makeImage({ layers: [await makeLayer(entries)] });
    await load(service, await archiveOf(image, "many:1"));
    await service.images.removeImage({ image: "many:1" });
    assert.ok(peakMib(service.process.pid) < 300, `${peakMib(service.process.pid)} MiB`);
  });
});
