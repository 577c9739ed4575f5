/** Overlay mounts of ours: `<run>/build-service/trees/<uuid>`. */
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { MountKernel } from "@gantry/native";

/** MNT_DETACH of umount2(2). */
const detach = 2;

/** A mounted tree, until disposed; disposing twice is allowed. */
export interface MountedTree extends AsyncDisposable {
  readonly path: string;
}

/** Mounts as image-service describes them. */
export interface TreeMounts {
  mount(mount: {
    readonly lowerDirs: readonly string[];
    readonly upperDir: string;
    readonly workDir: string;
  }): Promise<MountedTree>;
  /** Unmounts what earlier processes left. */
  cleanUp(): Promise<void>;
}

export function openTreeMounts(kernel: MountKernel, runDir: string): TreeMounts {
  const folder = path.join(runDir, "trees");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const unmount = async (target: string): Promise<void> => {
    await kernel.unmount(target, detach).catch((error: unknown) => {
      // Nothing is mounted there.
      if (!hasErrno(error, "EINVAL")) throw error;
    });
    rmdirSync(target);
  };
  const left = readdirSync(folder);
  return {
    async mount({ lowerDirs, upperDir, workDir }) {
      const [only] = lowerDirs;
      if (upperDir === "" && lowerDirs.length === 1 && only !== undefined) {
        return { path: only, [Symbol.asyncDispose]: () => Promise.resolve() };
      }
      const target = path.join(folder, randomUUID());
      mkdirSync(target, { mode: 0o700 });
      try {
        // Its unmounting waits for no disk: a layer is durable, or known not to be, by image-service's account.
        const writable = upperDir === "" ? {} : { upperDir, workDir, options: ["volatile"] };
        await kernel.mountOverlay({ lowerDirs, target, ...writable });
      } catch (error) {
        rmdirSync(target);
        throw error;
      }
      let mounted = true;
      return {
        path: target,
        async [Symbol.asyncDispose]() {
          if (!mounted) return;
          mounted = false;
          await unmount(target);
        },
      };
    },
    async cleanUp() {
      for (const name of left) await unmount(path.join(folder, name));
    },
  };
}
