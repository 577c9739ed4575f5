/** The end of the service, not of the containers: whatever would still act on them is stopped. */
import type { App } from "./context.ts";

/** Clears timers and ends probes; nothing is started or written afterwards. */
export function letGo(app: App): void {
  app.shuttingDown = true;
  for (const entry of app.registry.all()) {
    clearTimeout(entry.restartTimer);
    entry.restartTimer = undefined;
    entry.healthProbes?.abort();
    entry.healthProbes = undefined;
  }
}
