/** Archives out of a container: of a path (`docker cp`), or of everything (`docker export`). */
import nodePath from "node:path/posix";
import type { RootView, StatResult } from "../ports/archives.ts";
import { archiveError } from "./archive-errors.ts";
import type { StreamEndpoint } from "./attach-container.ts";
import { withRoot } from "./container-root.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { cleanPath, requirePath, statIn } from "./stat-path.ts";

/** A tar that waits for its reader. */
export interface OfferedArchive {
  readonly endpoint: StreamEndpoint;
  /** Resolves when the tar is written. */
  readonly done: Promise<void>;
}

/** A path's tar. Errors: not_found, invalid_argument. */
export async function getArchive(
  app: App,
  reference: string,
  asked: string,
  signal: AbortSignal,
): Promise<OfferedArchive & { readonly stat: StatResult }> {
  const entry = app.registry.find(reference);
  requirePath(asked);
  const path = cleanPath(asked);
  const found = Promise.withResolvers<OfferedArchive & { readonly stat: StatResult }>();
  // The view stays open from the look at the path to the end of the tar.
  withRoot(app, entry, async (view) => {
    const stat = await statIn(app, view, { reference, path, asked }, signal);
    const options = { path, name: entryName(path, stat), withMounts: true };
    const offered = app.archives.pack(view, options, signal);
    found.resolve({ ...offered, stat });
    await offered.done;
    app.store.append([containerEvent(entry.record, "archive-path")]);
  }).catch((error: unknown) => {
    found.reject(archiveError(error, reference, path, "read", asked));
  });
  return await found.promise;
}

/** The root entry is the base name; a path that ends in `/.` gives what is in the folder, below `./`. */
function entryName(path: string, stat: StatResult): string {
  return path.endsWith("/.") || path === "." ? "." : stat.name || nodePath.basename(path) || "/";
}

/** The whole root file system, without volumes. Errors: not_found, conflict. */
export async function exportContainer(
  app: App,
  reference: string,
  signal: AbortSignal,
): Promise<OfferedArchive> {
  const entry = app.registry.find(reference);
  const found = Promise.withResolvers<OfferedArchive>();
  const pack = async (view: RootView): Promise<void> => {
    const options = { path: "/", name: undefined, withMounts: false };
    const offered = app.archives.pack(view, options, signal);
    found.resolve(offered);
    await offered.done;
    tellExport(app, entry);
  };
  withRoot(app, entry, pack, false).catch((error: unknown) => {
    found.reject(archiveError(error, reference, "/", "read"));
  });
  return await found.promise;
}

function tellExport(app: App, entry: Entry): void {
  app.store.append([containerEvent(entry.record, "export")]);
}
