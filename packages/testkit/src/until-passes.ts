/** Waiting for assertions to hold. */

import type { EventuallyOptions } from "./eventually.ts";
import { eventually } from "./eventually.ts";

/** Runs `check` until it no longer throws; when time is up, its last error is thrown. */
export async function untilPasses(
  check: () => void | Promise<void>,
  options: EventuallyOptions = {},
): Promise<void> {
  await eventually(async () => {
    await check();
    return true;
  }, options);
}
