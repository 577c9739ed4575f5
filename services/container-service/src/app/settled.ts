/** Waiting for a start that is under way: what is asked of a container is asked of how that comes out. */
import type { Entry } from "./entry.ts";

export async function settled(entry: Entry): Promise<void> {
  if (entry.record.state.status === "starting") await entry.serial.run(() => Promise.resolve());
}
