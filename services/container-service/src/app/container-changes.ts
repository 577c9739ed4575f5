/** Changes of a container's root file system against its image. */
import type { PathChange } from "../ports/images.ts";
import type { App } from "./context.ts";
import { readFiles } from "./read-files.ts";

const added = 1;
/** Mount points of what every container has bound there; Docker keeps them in a layer below. */
const ourFiles = new Set(["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]);

/** Sorted by path. */
export async function containerChanges(
  app: App,
  reference: string,
  signal: AbortSignal,
): Promise<readonly PathChange[]> {
  const all = await readFiles(app, reference, ({ id }) => app.images.changes(id, signal));
  const own = all.filter(({ path, kind }) => kind !== added || !ourFiles.has(path));
  const hasOurs = own.length < all.length;
  const othersInEtc = own.some(({ path }) => path.startsWith("/etc/"));
  return hasOurs && !othersInEtc ? own.filter(({ path }) => path !== "/etc") : own;
}
