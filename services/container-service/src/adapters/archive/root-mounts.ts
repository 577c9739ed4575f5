/** Roots of stopped containers, mounted at `<run>/container-service/roots/<id>` while they are looked at. */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
} from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { Kernel } from "@gantry/native";
import type { RootMounts } from "../../ports/archives.ts";

const bind = 4096n; // MS_BIND
const recursive = 16384n; // MS_REC
const privately = 1n << 18n; // MS_PRIVATE
const remountReadOnly = 4096n | 32n | 1n; // MS_BIND | MS_REMOUNT | MS_RDONLY
const detachMount = 2;

type MountKernel = Pick<Kernel, "mount" | "unmount" | "mountOverlay" | "openInRoot" | "closeFd">;

export function openRootMounts(runDir: string, kernel: MountKernel, logger: Logger): RootMounts {
  const folder = path.join(runDir, "roots");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const unmount = async (target: string): Promise<void> => {
    await kernel.unmount(target, detachMount);
    rmdirSync(target);
  };
  return {
    async mount(id, overlay, binds) {
      const target = path.join(folder, id);
      mkdirSync(target, { mode: 0o700 });
      await kernel.mountOverlay({ ...overlay, target });
      const dispose = (): Promise<void> => unmount(target);
      try {
        // What is bound below must not spread to the peers of where it comes from, and goes with the root.
        await kernel.mount({ source: "none", target, flags: privately | recursive });
        for (const each of binds) await bindInside(kernel, target, each);
      } catch (error) {
        await dispose();
        throw error;
      }
      return { path: target, [Symbol.asyncDispose]: dispose };
    },
    async cleanUp() {
      for (const name of readdirSync(folder)) {
        const target = path.join(folder, name);
        logger.info({ target }, "unmounting a root that was left");
        if (isMounted(target)) await unmount(target);
        else rmdirSync(target);
      }
    },
  };
}

function isMounted(target: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === target);
}

interface Bind {
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
}

/** The destination is resolved inside the root, whatever links the image has there. */
async function bindInside(kernel: MountKernel, root: string, each: Bind): Promise<void> {
  const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const fd = kernel.openInRoot(rootFd, each.destination, 0o10000000, 0); // O_PATH
    try {
      const target = `/proc/self/fd/${String(fd)}`;
      await kernel.mount({ source: each.source, target, flags: bind | recursive });
      if (each.readOnly) await remount(kernel, rootFd, each.destination);
    } finally {
      kernel.closeFd(fd);
    }
  } catch (error) {
    // Never started: the mount point is made by the first start, and there is nothing to see yet.
    if (!hasErrno(error, "ENOENT")) throw error;
  } finally {
    closeSync(rootFd);
  }
}

async function remount(kernel: MountKernel, rootFd: number, destination: string): Promise<void> {
  const fd = kernel.openInRoot(rootFd, destination, 0o10000000, 0);
  try {
    await kernel.mount({
      source: "none",
      target: `/proc/self/fd/${String(fd)}`,
      flags: remountReadOnly,
    });
  } finally {
    kernel.closeFd(fd);
  }
}
