import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import type http from "node:http";
import { describe, it } from "node:test";
import { digestOf } from "@gantry/testkit/image-maker";
import { pack } from "tar-stream";
import { startFakeRegistry } from "./fake-registry.ts";
import { openImageService } from "./image-client.ts";

const mebibyte = 1024 * 1024;

/** So much that garbage, some tens of MiB, is little beside it; a gibibyte where there is time for it. */
const sizeMib = process.env["GANTRY_TEST_DEEP"] === undefined ? 384 : 1024;

const piece = randomBytes(mebibyte);

/** The tar of one file of random bytes, a piece at a time, the same each time. */
async function* largeTar(): AsyncGenerator<Buffer> {
  const tar = pack();
  const header = { name: "large", size: sizeMib * mebibyte, mtime: new Date(0) };
  const entry = tar.entry(header, () => {
    tar.finalize();
  });
  const feed = async (): Promise<void> => {
    for (let count = 1; count < sizeMib; count += 1) {
      if (!entry.write(piece)) await once(entry, "drain");
    }
    entry.end(piece);
  };
  const fed = feed();
  for await (const chunk of tar as AsyncIterable<Buffer>) yield chunk;
  await fed;
}

async function describeLayer(): Promise<{ readonly digest: string; readonly size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of largeTar()) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `sha256:${hash.digest("hex")}`, size };
}

/** @param onHalf called once, when half of it is sent. */
async function send(
  response: http.ServerResponse,
  size: number,
  onHalf: () => void,
): Promise<void> {
  response.writeHead(200, { "content-length": size });
  let left = size;
  for await (const chunk of largeTar()) {
    if (left > size / 2 && left - chunk.length <= size / 2) onHalf();
    left -= chunk.length;
    if (!response.write(chunk)) await once(response, "drain");
  }
  response.end();
}

const peakMib = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** Begins a new peak: see clear_refs in proc(5). */
const forgetPeak = (pid: number): void => {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
};

describe("a pull of a very large layer", () => {
  it("takes no memory that grows with it", async () => {
    await using registry = await startFakeRegistry();
    const { digest, size } = await describeLayer();
    const config = Buffer.from(
      JSON.stringify({
        architecture: process.arch === "arm64" ? "arm64" : "amd64",
        os: "linux",
        config: {},
        rootfs: { type: "layers", diff_ids: [digest] },
      }),
    );
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: {
          mediaType: "application/vnd.oci.image.config.v1+json",
          digest: digestOf(config),
          size: config.length,
        },
        layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size }],
      }),
    );
    registry.blobs.set(digestOf(config), config);
    const type = "application/vnd.oci.image.manifest.v1+json";
    for (const name of ["1", digestOf(manifest)])
      registry.manifests.set(name, { type, bytes: manifest });
    registry.answer = async ({ url }, response) => {
      if (!(url ?? "").endsWith(digest)) return false;
      await send(response, size, onHalf);
      return true;
    };
    await using service = await openImageService();
    const { pid } = service.process;
    let firstHalfMib = 0;
    const onHalf = (): void => {
      firstHalfMib = peakMib(pid);
      forgetPeak(pid);
    };
    let last = "";
    for await (const { progress } of service.images.pullImage({
      reference: `${registry.host}/large`,
      tag: "1",
    })) {
      last = progress?.status ?? "";
    }
    assert.match(last, /Downloaded newer image/);
    assert.ok(firstHalfMib > 0);
    // How much waits for the garbage collector goes up and down with the load of the machine: that much is had in
    // the first half already, within some tens of MiB. What is kept of each byte would come on top in the second.
    const grownMib = peakMib(pid) - firstHalfMib;
    const allowedMib = sizeMib / 2 / 4;
    assert.ok(
      grownMib <= allowedMib,
      `at most ${firstHalfMib} MiB in the first half, ${grownMib} more in the second`,
    );
  });
});
