/** Tells image-service which images are in use: the newest list only, again while it is away. */
import { resolveKind } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { ImageUse } from "../../ports/images.ts";

export interface UserAnnouncer {
  /** Resolves when this list, or a newer one, was sent; at once while image-service is known to be away. */
  announce(uses: () => readonly ImageUse[]): Promise<void>;
}

/** Lists that come while one is on its way are sent together. */
const gatherMs = 20;
const retryMs = 1000;

export function openUserAnnouncer(
  send: (uses: readonly ImageUse[]) => Promise<unknown>,
  logger: Logger,
): UserAnnouncer {
  let newest: (() => readonly ImageUse[]) | undefined;
  let told = Promise.withResolvers<void>();
  let busy = false;
  let away = false;
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
    const { resolve } = told;
    told = Promise.withResolvers<void>();
    try {
      await send(list());
      away = false;
      plan(gatherMs);
    } catch (error) {
      away = true;
      if (resolveKind(error) !== "unavailable")
        logger.warn({ err: error }, "users of images are not told");
      newest ??= list;
      plan(retryMs);
    } finally {
      resolve();
    }
  };
  return {
    announce(uses) {
      newest = uses;
      if (!busy) plan(gatherMs);
      return away ? Promise.resolve() : told.promise;
    },
  };
}
