/** What a full disk refuses leaves no open file behind: one that is collected as garbage ends the process. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readlinkSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { createLogger } from "@gantry/logging";
import { sha256Digest } from "@gantry/oci";
import { openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { openContentStore } from "../src/adapters/file-content/content-store.ts";

const mebibyte = 2 ** 20;
const bytes = randomBytes(64 * 1024);

/** Files below a folder that this process has open. */
function openBelow(folder: string): string[] {
  const files: string[] = [];
  for (const fd of readdirSync("/proc/self/fd")) {
    // The one that the list itself was read by is gone.
    const file = readlinkIfThere(`/proc/self/fd/${fd}`);
    if (file?.startsWith(folder)) files.push(file);
  }
  return files;
}

function readlinkIfThere(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

describe("the content store on a full disk", () => {
  it("refuses a small blob, and neither keeps a file open nor leaves one", async () => {
    await using disk = await openLoopFilesystem(16 * mebibyte);
    const store = openContentStore(disk.path, createLogger({ service: "test", level: "fatal" }));
    const giveBack = await disk.fill();
    await assert.rejects(store.write(bytes), { code: "ENOSPC" });
    assert.deepEqual(openBelow(disk.path), []);
    assert.deepEqual(readdirSync(path.join(disk.path, "content/ingest")), []);
    await giveBack();
    assert.deepEqual(await store.write(bytes), {
      digest: sha256Digest(bytes),
      sizeBytes: bytes.length,
    });
  });

  it("refuses bytes of another digest than was expected, and keeps none of them", async () => {
    await using disk = await openLoopFilesystem(16 * mebibyte);
    const store = openContentStore(disk.path, createLogger({ service: "test", level: "fatal" }));
    const other = sha256Digest(Buffer.from("other"));
    await assert.rejects(store.write(bytes, other), { kind: "invalid_argument" });
    assert.deepEqual(openBelow(disk.path), []);
    assert.deepEqual(readdirSync(path.join(disk.path, "content/ingest")), []);
  });
});
