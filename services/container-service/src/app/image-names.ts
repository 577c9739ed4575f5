/** Which name lists show for a container's image: the user's, or the ID once that points elsewhere. */
import { resolveKind } from "@gantry/errors";
import type { App } from "./context.ts";

/** Changes that come together are looked at once. */
const gatherMs = 50;

/** Follows the names until the service ends. */
export async function followImageNames(app: App): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await app.images.watchNames(() => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void refreshNames(app);
    }, gatherMs);
  }, app.lifetime);
  clearTimeout(timer);
}

async function refreshNames(app: App): Promise<void> {
  const references = new Set(app.registry.list().map(({ record }) => record.image.reference));
  for (const reference of references) {
    try {
      applyName(app, reference, await app.images.currentId(reference, app.lifetime));
    } catch (error) {
      if (app.lifetime.aborted || resolveKind(error) === "unavailable") return;
      app.logger.warn({ err: error, reference }, "name of an image is not looked up");
    }
  }
}

function applyName(app: App, reference: string, currentId: string | undefined): void {
  for (const entry of app.registry.list()) {
    const { image } = entry.record;
    if (image.reference !== reference) continue;
    entry.imageDisplay = image.id === currentId ? reference : image.id;
  }
}
