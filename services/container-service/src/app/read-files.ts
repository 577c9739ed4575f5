/** What image-service tells of a container's files. */
import { hasKind, notFound } from "@gantry/errors";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";

/**
 * Removal does not wait for readers. A container that goes meanwhile is told of as one that went before.
 * Errors: not_found (the container), those of `read`.
 */
export async function readFiles<T>(
  app: App,
  reference: string,
  read: (entry: Entry) => Promise<T>,
): Promise<T> {
  const entry = app.registry.find(reference);
  try {
    return await read(entry);
  } catch (error) {
    const isGone = hasKind(error, "not_found") && app.registry.byId(entry.id) !== entry;
    throw isGone ? notFound("container", reference) : error;
  }
}
