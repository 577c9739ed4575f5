/** The directory that is filled: a volume's own, or one below it, held open so that nobody puts another in its place. */
import { closeSync, constants, openSync } from "node:fs";
import path from "node:path";
import { EngineError, hasErrno, hasKind, internal, toEngineError } from "@gantry/errors";
import type { PathKernel } from "@gantry/native";
import { resolveSubpath } from "./subpath.ts";

/** Closed by its disposal. */
export interface FillTarget extends Disposable {
  /** Leads to the directory for as long as it is open. */
  readonly path: string;
}

const directoryOnly = constants.O_RDONLY | constants.O_DIRECTORY;

/** Undefined when there is nothing at the subpath: the start tells that. Errors: as resolveSubpath; internal (no directory). */
export async function openFillTarget(
  kernel: PathKernel,
  volume: string,
  subpath: string,
): Promise<FillTarget | undefined> {
  const inside = subpath === "" ? "" : await resolved(volume, subpath);
  if (inside === undefined) return undefined;
  const fd = inside === "" ? openSync(volume, directoryOnly) : openBelow(kernel, volume, inside);
  return {
    path: `/proc/self/fd/${String(fd)}`,
    [Symbol.dispose]() {
      closeSync(fd);
    },
  };
}

async function resolved(volume: string, subpath: string): Promise<string | undefined> {
  try {
    return await resolveSubpath(volume, subpath);
  } catch (error) {
    if (hasKind(error, "not_found")) return undefined;
    const { kind, message } = toEngineError(error);
    throw new EngineError(kind, `failed to populate volume: ${message}`, { cause: error });
  }
}

/** A container that has the volume may have moved things since the path was resolved: it stays inside all the same. */
function openBelow(kernel: PathKernel, volume: string, inside: string): number {
  const root = openSync(volume, directoryOnly);
  try {
    return kernel.openInRoot(root, inside, directoryOnly, 0);
  } catch (error) {
    if (!hasErrno(error, "ENOTDIR")) throw error;
    throw internal(`open ${path.join(volume, inside)}: not a directory`, { cause: error });
  } finally {
    closeSync(root);
  }
}
