/** Who an exec is to run as. A name that the container does not have is told before there is a stream. */
import { invalidArgument } from "@gantry/errors";
import { ArchiveError } from "../ports/archives.ts";
import { withRoot } from "./container-root.ts";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";

/** user_namespaces(7) apart, the kernel has IDs up to here. */
const maxId = 2_147_483_647;

/**
 * Looks a user up in the container's own /etc/passwd and /etc/group. Who shares its files may change them before the
 * exec starts, so the start looks again.
 * @param user `user[:group]`, by name or number
 * Errors: invalid_argument.
 */
export async function requireUser(
  app: App,
  entry: Entry,
  user: string,
  signal: AbortSignal,
): Promise<void> {
  if (isNumeric(user)) return;
  try {
    await withRoot(app, entry, (view) => app.archives.findUser(view, user, signal));
  } catch (error) {
    if (!(error instanceof ArchiveError) || error.failure.step !== "user") throw error;
    throw invalidArgument(error.failure.message, { cause: error });
  }
}

/** Numbers need no entry in any file. */
function isNumeric(user: string): boolean {
  return (
    /^\d{1,10}(?::\d{1,10})?$/.test(user) && user.split(":").every((id) => Number(id) <= maxId)
  );
}
