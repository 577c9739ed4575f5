/** A data root on a disk that cannot hold what containers change: told at the start, not by each container. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { loadKernel, type OverlayMount } from "@gantry/native";
import { mustRun } from "@gantry/testkit";
import { openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { checkOverlay } from "../src/adapters/snapshot-dirs/overlay-check.ts";

const kernel = loadKernel();

/** A folder on an overlay, which no overlay takes as its upper layer. */
async function openOverlay(): Promise<AsyncDisposable & { readonly path: string }> {
  const dir = await openTempDir("gantry-overlay-");
  const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => {
    mkdirSync(path.join(dir.path, name));
    return path.join(dir.path, name);
  }) as [string, string, string, string];
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  await mustRun(["mount", "-t", "overlay", "overlay", "-o", options, merged]);
  return {
    path: merged,
    async [Symbol.asyncDispose]() {
      await mustRun(["umount", merged]);
      await dir[Symbol.asyncDispose]();
    },
  };
}

describe("a folder for what containers change", () => {
  it("is refused on an overlay, with the kernel's reason and what would do, and left as it was", async () => {
    await using overlay = await openOverlay();
    await assert.rejects(checkOverlay(overlay.path, kernel), ({ message }: Error) => {
      assert.ok(
        message.startsWith(`containers' changes cannot be kept in ${overlay.path}: EINVAL`),
      );
      assert.match(message, /must be on a file system that overlayfs takes .* a volume\.$/);
      return true;
    });
    assert.deepEqual(readdirSync(overlay.path), []);
  });

  it("is taken on a disk that overlayfs takes, also on a full one, and left as it was", async () => {
    await using disk = await openLoopFilesystem(16 * 2 ** 20);
    const folder = path.join(disk.path, "snapshots");
    mkdirSync(folder);
    await checkOverlay(folder, kernel);
    assert.deepEqual(readdirSync(folder), []);
    const giveBack = await disk.fill();
    await checkOverlay(folder, kernel);
    await giveBack();
    assert.deepEqual(readdirSync(folder), []);
  });

  it("is taken where a predecessor was killed in the middle of it", async () => {
    await using disk = await openLoopFilesystem(16 * 2 ** 20);
    const mountOverlay = async (overlay: OverlayMount): Promise<void> => {
      await kernel.mountOverlay(overlay);
      throw new Error("killed");
    };
    await assert.rejects(checkOverlay(disk.path, { ...kernel, mountOverlay }), /busy/i);
    await checkOverlay(disk.path, kernel);
    assert.deepEqual(readdirSync(disk.path), ["lost+found"]);
  });
});
