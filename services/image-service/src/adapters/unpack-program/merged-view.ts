/** Mounts layers read-only for a moment, to compare with what lies over them. */
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import path from "node:path";
import type { MountKernel } from "@gantry/native";
import { unmountIfMounted } from "../unmount.ts";

/** A tree to read, until it is disposed. */
export interface MergedView extends AsyncDisposable {
  readonly path: string;
}

/** Shows layers merged. @param lowers uppermost first, not empty */
export type MergeLayers = (lowers: readonly string[]) => Promise<MergedView>;

/**
 * @param runDir where mount points are made; those that a killed predecessor left are unmounted
 * @param kernel loaded only when something is mounted
 */
export function createMergeLayers(runDir: string, kernel: () => MountKernel): MergeLayers {
  const folder = path.join(runDir, "merged");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const left = readdirSync(folder);
  let ready: Promise<void> | undefined;
  const unmount = async (target: string): Promise<void> => {
    await unmountIfMounted(kernel(), target);
    rmdirSync(target);
  };
  const cleanUp = async (): Promise<void> => {
    for (const name of left) await unmount(path.join(folder, name));
  };
  return async (lowers) => {
    const [only] = lowers;
    if (lowers.length === 1 && only !== undefined) {
      return { path: only, [Symbol.asyncDispose]: () => Promise.resolve() };
    }
    ready ??= cleanUp();
    await ready;
    const target = path.join(folder, randomUUID());
    mkdirSync(target, { mode: 0o700 });
    try {
      await kernel().mountOverlay({ lowerDirs: lowers, target });
    } catch (error) {
      rmdirSync(target);
      throw error;
    }
    return { path: target, [Symbol.asyncDispose]: () => unmount(target) };
  };
}
