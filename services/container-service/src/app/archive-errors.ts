/** What the unpack program says, in Docker's words. */
import { constants } from "node:os";
import { internal, invalidArgument, notFound } from "@gantry/errors";
import { ArchiveError } from "../ports/archives.ts";

const { ENOENT, ENOTDIR, ENOSPC, EDQUOT, ELOOP, EROFS } = constants.errno;

/** What was being done. */
export type ArchiveWork = "read" | "write";

/** An error for the caller. @param reference the container as the caller named it. */
export function archiveError(
  error: unknown,
  reference: string,
  path: string,
  work: ArchiveWork,
): unknown {
  if (!(error instanceof ArchiveError)) return error;
  const { step, errno, message } = error.failure;
  switch (errno) {
    case ENOENT: {
      const text = `Could not find the file ${path} in container ${reference}`;
      return notFound("path", path, text, { cause: error });
    }
    case ENOTDIR:
      return internal(work === "write" ? "not a directory" : `lstat ${path}: not a directory`, {
        cause: error,
      });
    case ELOOP:
      return internal(
        work === "write"
          ? "EvalSymlinks: too many links"
          : `lstat ${path}: too many levels of symbolic links`,
        { cause: error },
      );
    case EROFS:
      // A read-only root is refused before: this is a mount below another one.
      return invalidArgument("mounted volume is marked read-only", { cause: error });
    case ENOSPC:
    case EDQUOT:
      return internal("no space left on device", { cause: error });
    case 0:
      if (step === "user") return unknownUser(error, message);
      return step === "limit" || step === "sandbox" || step === "memory"
        ? internal(error.message, { cause: error })
        : invalidArgument(message, { cause: error });
    default:
      return internal(error.message, { cause: error });
  }
}

/** The program speaks of users as the start of a container does. */
function unknownUser(error: ArchiveError, message: string): unknown {
  const [, reason = message] = /^unable to find (?:user|group) .*?: (.*)$/s.exec(message) ?? [];
  const { path: user } = error.failure;
  return invalidArgument(`failed to look up user ${JSON.stringify(user)} in container: ${reason}`, {
    cause: error,
  });
}
