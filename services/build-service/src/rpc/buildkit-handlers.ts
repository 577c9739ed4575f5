/** Connections of BuildKit's clients, over the data plane. */
import { BuildkitService } from "@gantry/proto/build";
import { type DataListener, type Implementation, implement } from "@gantry/rpc";
import type { Activity } from "../app/activity.ts";
import type { BuildkitFront } from "../buildkit/front.ts";

/** Handlers of BuildkitService. */
export function buildkitHandlers(
  front: BuildkitFront,
  data: DataListener,
  activity: Activity,
): Implementation {
  return implement(BuildkitService, {
    openControl: () =>
      Promise.resolve({
        stream: data.issue(async (connection) => {
          using _busy = activity.begin();
          await front.serveControl(connection);
        }),
      }),
    openSession: (introduction) => {
      front.assertSessionFree(introduction.id);
      return Promise.resolve({
        stream: data.issue(async (connection) => {
          using _busy = activity.begin();
          await front.serveSession(introduction, connection);
        }),
      });
    },
  });
}
