/** Archives into a container (`docker cp`). */
import { constants } from "node:os";
import nodePath from "node:path/posix";
import { internal, invalidArgument } from "@gantry/errors";
import { ArchiveError, type RootView } from "../ports/archives.ts";
import { archiveError } from "./archive-errors.ts";
import { withRoot } from "./container-root.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import type { OfferedArchive } from "./get-archive.ts";
import { cleanPath, requirePath, type StatTarget, statIn } from "./stat-path.ts";

/** Where and how. */
export interface PutOptions {
  /** An existing directory. */
  readonly path: string;
  readonly noOverwriteDirNonDir: boolean;
  /** Files belong to the container's user. */
  readonly copyUidGid: boolean;
}

const typeMask = 0o170000;
const directory = 0o040000;

/** Errors: not_found, invalid_argument (no directory, read-only, malformed archive). */
export async function putArchive(
  app: App,
  reference: string,
  options: PutOptions,
  signal: AbortSignal,
): Promise<OfferedArchive> {
  const entry = app.registry.find(reference);
  requirePath(options.path);
  const asked = options.path;
  const path = cleanPath(asked);
  const found = Promise.withResolvers<OfferedArchive>();
  withRoot(app, entry, async (view) => {
    const { user } = entry.record.config;
    const owner = options.copyUidGid && user !== "" ? user : undefined;
    // The program starts while the path is looked at: it touches nothing before somebody connects.
    const refused = new AbortController();
    const work = AbortSignal.any([signal, refused.signal]);
    const { endpoint, done } = app.archives.apply(view, { ...options, path, owner }, work);
    let resolved: string;
    try {
      resolved = await resolveDirectory(app, view, { reference, path, asked }, signal);
      refuseReadOnly(app, entry, resolved);
    } catch (error) {
      refused.abort();
      await Promise.allSettled([done]);
      throw error;
    }
    const extracted = done.catch((error: unknown) => {
      throw isReadOnlyDisk(app, entry, resolved, error)
        ? internal("read-only file system", { cause: error })
        : archiveError(error, reference, path, "write", asked);
    });
    found.resolve({ endpoint, done: extracted });
    await extracted;
    app.store.append([containerEvent(entry.record, "extract-to-dir")]);
  }).catch((error: unknown) => {
    found.reject(archiveError(error, reference, path, "write", asked));
  });
  return await found.promise;
}

/** Whether it is no mount of the container's that refuses, which would be a read-only one below the path. */
function isReadOnlyDisk(app: App, entry: Entry, path: string, error: unknown): boolean {
  if (!(error instanceof ArchiveError) || error.failure.errno !== constants.errno.EROFS)
    return false;
  const folder = nodePath.join("/", path, "/");
  const mounts = app.volumes.mountPoints(entry.id);
  return !mounts.some(({ rw, place }) => !rw && place.startsWith(folder));
}

/** The path with its links followed. A link to a directory is one. */
async function resolveDirectory(
  app: App,
  view: RootView,
  at: StatTarget,
  signal: AbortSignal,
): Promise<string> {
  const stat = await statIn(app, view, at, signal, "write");
  const { mode } =
    stat.linkTarget === ""
      ? stat
      : await statIn(app, view, { ...at, resolved: stat.resolved }, signal, "write");
  if ((mode & typeMask) === directory) return stat.resolved;
  throw invalidArgument("extraction point is not a directory");
}

/** The mount that a path lies in says whether it can be written to. */
function refuseReadOnly(app: App, entry: Entry, path: string): void {
  const wanted = nodePath.resolve("/", path);
  const isBelow = (folder: string): boolean => wanted === folder || wanted.startsWith(`${folder}/`);
  const mount = app.volumes
    .mountPoints(entry.id)
    .filter(({ place }) => isBelow(place))
    .sort((one, other) => other.place.length - one.place.length)[0];
  if (mount !== undefined) {
    if (!mount.rw) throw invalidArgument("mounted volume is marked read-only");
  } else if (entry.record.hostConfig.readonlyRootfs) {
    throw invalidArgument("container rootfs is marked read-only");
  }
}
