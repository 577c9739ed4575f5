/** An image's file system as one directory of the host, read-only, for as long as it is used. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { hasErrno, internal } from "@gantry/errors";
import type { MountKernel } from "@gantry/native";
import type { ImageRootfs } from "../../ports/volumes.ts";

/** MNT_DETACH. */
const detach = 2;

const prefix = "view-";

/** Whether a name among the mounts of images is a view. */
export function isImageView(name: string): boolean {
  return name.startsWith(prefix);
}

/** A view; its disposal ends it. */
export interface ImageView extends AsyncDisposable {
  readonly path: string;
}

/** A single layer is its own view: an overlay needs two. */
export async function openImageView(
  kernel: MountKernel,
  folder: string,
  image: ImageRootfs,
): Promise<ImageView> {
  const [only, ...others] = image.lowerDirs;
  if (only === undefined) throw internal("image without a file system");
  if (others.length === 0) {
    return { path: only, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const target = path.join(folder, `${prefix}${randomUUID()}`);
  await mkdir(target, { recursive: true, mode: 0o700 });
  try {
    await kernel.mountOverlay({ lowerDirs: image.lowerDirs, target });
  } catch (error) {
    await rm(target, { recursive: true, force: true });
    throw error;
  }
  return {
    path: target,
    async [Symbol.asyncDispose]() {
      await kernel.unmount(target, detach);
      await rm(target, { recursive: true, force: true });
    },
  };
}

/** Ends views that a crash left. */
export async function endImageViews(kernel: MountKernel, folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!isImageView(name)) continue;
    const target = path.join(folder, name);
    try {
      await kernel.unmount(target, detach);
    } catch (error) {
      // EINVAL: nothing is mounted there any more.
      if (!hasErrno(error, "EINVAL")) throw error;
    }
    await rm(target, { recursive: true, force: true });
  }
}
