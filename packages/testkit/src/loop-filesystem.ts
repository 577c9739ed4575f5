/** A small ext4 of its own in a file: one that a test can freeze, or fill to the last block. */
import { mkdir, open, rm, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { openTempDir } from "@gantry/fs";
import { leaveWill } from "./last-will.ts";
import { mustRun } from "./run.ts";

/** A mounted file system; disposing it thaws, unmounts and removes it. */
export interface LoopFilesystem extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  /** fsfreeze -f: whoever writes to it from now on waits. */
  freeze(): Promise<void>;
  /** fsfreeze -u. No error when it is not frozen. */
  thaw(): Promise<void>;
  /** As the kernel does when it finds the file system damaged; for good. */
  makeReadOnly(): Promise<void>;
  /** Takes all space but `leaveBytes`; resolves with what gives it back. */
  fill(leaveBytes?: number): Promise<() => Promise<void>>;
}

/** A frozen disk would keep who writes to it, and who looks for that, for ever. */
const giveBack = 'fsfreeze -u "$0/mount"; umount --lazy "$0/mount"; rm -r --one-file-system "$0"';

/** Makes and mounts one. */
export async function openLoopFilesystem(sizeBytes: number): Promise<LoopFilesystem> {
  const dir = await openTempDir("gantry-loop-", "/tmp");
  const image = path.join(dir.path, "image");
  const point = path.join(dir.path, "mount");
  const file = await open(image, "w");
  await file.truncate(sizeBytes);
  await file.close();
  await mkdir(point);
  // No share of the space for root only: a full disk is full for us, too.
  await mustRun(["mkfs.ext4", "-q", "-m", "0", image]);
  await mustRun(["mount", "-o", "loop,errors=remount-ro", image, point]);
  const will = await leaveWill(["sh", "-c", giveBack, dir.path]);
  let frozen = false;
  const thaw = async (): Promise<void> => {
    if (!frozen) return;
    await mustRun(["fsfreeze", "-u", point]);
    frozen = false;
  };
  return {
    path: point,
    async freeze() {
      await mustRun(["fsfreeze", "-f", point]);
      frozen = true;
    },
    thaw,
    async makeReadOnly() {
      const { stdout } = await mustRun(["findmnt", "-no", "SOURCE", point]);
      await writeFile(`/sys/fs/ext4/${path.basename(stdout.trim())}/trigger_fs_error`, "test");
    },
    fill: (leaveBytes = 0) => fill(point, leaveBytes),
    async [Symbol.asyncDispose]() {
      await thaw();
      await mustRun(["umount", point]);
      await will[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function fill(point: string, leaveBytes: number): Promise<() => Promise<void>> {
  const ballast = path.join(point, "ballast");
  await mkdir(ballast);
  const { bavail, bsize } = await statfs(point);
  const roughly = bavail * bsize - leaveBytes - roughBytes;
  if (roughly > 0) {
    await mustRun(["fallocate", "-l", String(roughly), path.join(ballast, "rough")]);
  }
  if (leaveBytes === 0) await writeUntilFull(path.join(ballast, "fine"));
  return async () => {
    await rm(ballast, { recursive: true });
  };
}

/** What fallocate may need for itself. */
const roughBytes = 2 ** 20;

/** To the last block. */
async function writeUntilFull(file: string): Promise<void> {
  const handle = await open(file, "w");
  try {
    for (;;) {
      await handle.write(Buffer.alloc(4096, 1));
      await handle.datasync();
    }
  } catch (error) {
    if (!hasErrno(error, "ENOSPC")) throw error;
  } finally {
    await handle.close();
  }
}
