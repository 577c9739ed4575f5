/** Tells image-service which images are in use: the newest list only, again while it is away. */
import { resolveKind } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { ImageUse } from "../../ports/images.ts";

export interface UserAnnouncer {
  announce(uses: () => readonly ImageUse[]): void;
}

/** Lists that come while one is on its way are sent together. */
const gatherMs = 20;
const retryMs = 1000;

export function openUserAnnouncer(
  send: (uses: readonly ImageUse[]) => Promise<unknown>,
  logger: Logger,
): UserAnnouncer {
  let newest: (() => readonly ImageUse[]) | undefined;
  let busy = false;
  const plan = (delayMs: number): void => {
    busy = true;
    setTimeout(() => void sendNewest(), delayMs).unref();
  };
  const sendNewest = async (): Promise<void> => {
    const list = newest;
    newest = undefined;
    if (list === undefined) {
      busy = false;
      return;
    }
    try {
      await send(list());
      plan(gatherMs);
    } catch (error) {
      if (resolveKind(error) !== "unavailable")
        logger.warn({ err: error }, "users of images are not told");
      newest ??= list;
      plan(retryMs);
    }
  };
  return {
    announce(uses) {
      newest = uses;
      if (!busy) plan(gatherMs);
    },
  };
}
