/** Follows image-service's events for what changes where names of images point. */
import { setTimeout as pause } from "node:timers/promises";
import type { EventService } from "@gantry/proto/event";
import type { ServiceClient } from "@gantry/rpc";

const actions = new Set(["pull", "tag", "untag", "delete", "load", "import", "create", "prune"]);
const retryMs = 1000;

export async function watchNames(
  events: ServiceClient<typeof EventService>,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      // The first answer comes without event: whatever happened before is then looked at as a whole.
      for await (const { event } of events.subscribe({}, { signal })) {
        if (event === undefined || actions.has(event.action)) onChange();
      }
    } catch {
      // It is down, or going down: it is asked again until it answers.
    }
    await pause(retryMs, undefined, { signal }).catch(() => undefined);
  }
}
