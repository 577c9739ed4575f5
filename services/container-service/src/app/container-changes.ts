/** Changes of a container's root file system against its image. */
import type { PathChange } from "../ports/images.ts";
import type { App } from "./context.ts";

/** Sorted by path. */
export async function containerChanges(
  app: App,
  reference: string,
  signal: AbortSignal,
): Promise<readonly PathChange[]> {
  return await app.images.changes(app.registry.find(reference).id, signal);
}
