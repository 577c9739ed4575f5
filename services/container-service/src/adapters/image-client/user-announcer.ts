/** Tells image-service which images are in use: the newest list only, again while it is away. */
import { resolveKind } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { ImageUse } from "../../ports/images.ts";

export interface UserAnnouncer {
  /** Plans that this list, or a newer one, is sent. */
  readonly announce: (uses: () => readonly ImageUse[]) => void;
  /** Resolves when nothing is left to send; at once while image-service is known to be away. */
  readonly settled: () => Promise<void>;
}

/** Lists that come while one is on its way are sent together. */
const gatherMs = 20;
const retryMs = 1000;

export function openUserAnnouncer(
  send: (uses: readonly ImageUse[]) => Promise<unknown>,
  logger: Logger,
): UserAnnouncer {
  let newest: (() => readonly ImageUse[]) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let away = false;
  const plan = (delayMs: number): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      sendNewest();
    }, delayMs).unref();
  };
  const sendNewest = (): void => {
    const list = newest;
    if (list === undefined || sending !== undefined) return;
    newest = undefined;
    sending = tell(list).finally(() => {
      sending = undefined;
      if (newest !== undefined) plan(away ? retryMs : gatherMs);
    });
  };
  const tell = async (list: () => readonly ImageUse[]): Promise<void> => {
    try {
      await send(list());
      away = false;
    } catch (error) {
      if (resolveKind(error) !== "unavailable")
        logger.warn({ err: error }, "users of images are not told");
      away = true;
      newest ??= list;
    }
  };
  return {
    announce(uses) {
      newest = uses;
      if (sending === undefined) plan(gatherMs);
    },
    async settled() {
      while (!away && (sending !== undefined || newest !== undefined)) {
        sendNewest();
        await sending;
      }
    },
  };
}
