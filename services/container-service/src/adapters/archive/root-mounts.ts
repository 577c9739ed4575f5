/** Roots of stopped containers, mounted at `<run>/container-service/roots/<id>` while they are looked at. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
} from "node:fs";
import path from "node:path";
import type { Logger } from "@gantry/logging";
import type { Kernel } from "@gantry/native";
import type { RootBind, RootMounts } from "../../ports/archives.ts";

const privately = 1n << 18n; // MS_PRIVATE
const detachMount = 2;
const pathOnly = 0o10000000; // O_PATH

type MountKernel = Pick<
  Kernel,
  "mount" | "bind" | "unmount" | "mountOverlay" | "openInRoot" | "makeInRoot"
>;

export function openRootMounts(runDir: string, kernel: MountKernel, logger: Logger): RootMounts {
  const folder = path.join(runDir, "roots");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const unmount = async (target: string): Promise<void> => {
    await kernel.unmount(target, detachMount);
    rmdirSync(target);
  };
  return {
    async mount(id, overlay, binds, folders) {
      const target = path.join(folder, id);
      mkdirSync(target, { mode: 0o700 });
      try {
        await kernel.mountOverlay({ ...overlay, target });
      } catch (error) {
        rmdirSync(target);
        throw error;
      }
      const dispose = (): Promise<void> => unmount(target);
      try {
        // What is bound below must not spread to the peers of where the root lies.
        await kernel.mount({ source: "none", target, flags: privately });
        for (const each of folders) makeInside(kernel, target, each);
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

/**
 * Source and destination are descriptors, resolved inside the volume and inside the root: whoever
 * shares a volume and swaps a link in it meanwhile reaches nothing else.
 */
async function bindInside(kernel: MountKernel, root: string, each: RootBind): Promise<void> {
  if (each.optional === true && !existsSync(each.source)) return;
  using source = openSource(kernel, each);
  using rootFolder = openFolder(root);
  const isDirectory = fstatSync(source.fd).isDirectory();
  using point = held(kernel.makeInRoot(rootFolder.fd, each.destination, isDirectory));
  const { recursive, readOnly } = each;
  await kernel.bind({ source: source.fd, target: point.fd, recursive, readOnly });
}

function makeInside(kernel: MountKernel, root: string, folder: string): void {
  using rootFolder = openFolder(root);
  closeSync(kernel.makeInRoot(rootFolder.fd, folder, true));
}

function openSource(kernel: MountKernel, { source, subpath }: RootBind): Held {
  if (subpath === "") return held(openSync(source, pathOnly));
  using volume = openFolder(source);
  return held(kernel.openInRoot(volume.fd, subpath, pathOnly, 0));
}

/** A descriptor, closed by its disposal. */
interface Held extends Disposable {
  readonly fd: number;
}

function held(fd: number): Held {
  return {
    fd,
    [Symbol.dispose]() {
      closeSync(fd);
    },
  };
}

function openFolder(path: string): Held {
  return held(openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
}
