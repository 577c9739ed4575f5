/** Forgets execs that have ended: seen ended by one sweep, they go with the next. */
import type { App } from "./context.ts";

const sweepEveryMs = 5 * 60_000;

/** Starts to sweep. Dispose to stop. */
export function sweepExecs(app: App): Disposable {
  const timer = setInterval(() => {
    sweepOnce(app);
  }, sweepEveryMs);
  timer.unref();
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
    },
  };
}

/** One sweep. */
function sweepOnce(app: App): void {
  const gone: string[] = [];
  for (const exec of app.execs.all()) {
    if (exec.record.state.status !== "ended") continue;
    if (exec.swept) gone.push(exec.record.id);
    exec.swept = true;
  }
  for (const id of gone) app.execs.remove(id);
  app.store.removeExecs(gone);
}
