/** A step of a classic build whose container the user wants to look at. */
import { conflict } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { type App, announceImageUse, change, containerEvent } from "./context.ts";
import { takeName } from "./create-container.ts";

/** Makes the container one of the user's. Errors: not_found, conflict (it runs). */
export async function keepStep(
  app: App,
  id: string,
  imageId: string,
  signal: AbortSignal,
): Promise<void> {
  const entry = app.registry.find(id);
  await entry.serial.run(async () => {
    const { buildStep, ...record } = entry.record;
    if (buildStep === undefined) return;
    if (isLive(record.state)) throw conflict(`container ${id} is running: its step has not ended`);
    const resolved = await app.images.resolve(imageId, "", id, signal);
    const { image } = resolved;
    const name = takeName(app, "", id);
    try {
      const { labels } = resolved.config;
      const config = { ...record.config, labels, image: image.reference };
      const kept = { ...record, name, image, config };
      await change(app, entry, kept, [containerEvent(kept, "create")]);
      entry.imageDisplay = image.reference;
    } catch (error) {
      app.registry.releaseName(name, id);
      throw error;
    }
    app.registry.releaseName(id, id);
    await app.store.synced();
  });
  announceImageUse(app);
}
