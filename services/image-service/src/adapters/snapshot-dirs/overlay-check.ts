/** Asks the kernel, before anything is kept, whether a container could write here. */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { MountKernel } from "@gantry/native";
import { unmountIfMounted } from "../unmount.ts";

/** What the kernel says of a file system that it does not take as upper directory, and where there is no overlayfs. */
const unsuited = ["EINVAL", "ENODEV", "EOPNOTSUPP", "ENOTSUP"] as const;

/**
 * Mounts an overlay below a folder, as containers will. What a full or read-only disk says is no answer:
 * there may be room later.
 * @throws Error with the kernel's reason when its file system cannot hold what containers change
 */
export async function checkOverlay(
  folder: string,
  kernel: Pick<MountKernel, "mountOverlay" | "unmount">,
): Promise<void> {
  const own = path.join(folder, ".overlay-check");
  const [lower, upper, work, target] = ["lower", "upper", "work", "merged"].map((name) =>
    path.join(own, name),
  ) as [string, string, string, string];
  await unmountIfMounted(kernel, target);
  try {
    for (const each of [lower, upper, work, target]) mkdirSync(each, { recursive: true });
    await kernel.mountOverlay({ lowerDirs: [lower], upperDir: upper, workDir: work, target });
    await unmountIfMounted(kernel, target);
  } catch (error) {
    if (!unsuited.some((code) => hasErrno(error, code))) return;
    throw new Error(
      `containers' changes cannot be kept in ${folder}: ${(error as Error).message}. ` +
        "The data root must be on a file system that overlayfs takes for them, such as ext4, xfs, btrfs or tmpfs; " +
        "in a container that is a volume.",
      { cause: error },
    );
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}
