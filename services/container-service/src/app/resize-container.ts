/** Resize of a container's terminal. */
import { conflict } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { type App, containerEvent } from "./context.ts";

/** Errors: conflict (not running). */
export async function resizeContainer(
  app: App,
  reference: string,
  size: { readonly height: number; readonly width: number },
): Promise<void> {
  const entry = app.registry.find(reference);
  if (!isLive(entry.record.state)) throw conflict(`container ${entry.id} is not running`);
  // Without a terminal there is nothing to do, which is no error.
  if (entry.record.config.tty) await app.shim.resizeProcess({ id: entry.id, ...size });
  const attributes = { height: String(size.height), width: String(size.width) };
  app.store.append([containerEvent(entry.record, "resize", attributes)]);
}
