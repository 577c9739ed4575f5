/** What the unpack program says, in Docker's words. */
import { constants } from "node:os";
import nodePath from "node:path/posix";
import { internal, invalidArgument, notFound } from "@gantry/errors";
import { ArchiveError, type ArchiveFailure } from "../ports/archives.ts";

const { EBUSY, ENAMETOOLONG, ENOENT, ENOTDIR, ENOSPC, EDQUOT, ELOOP, EROFS } = constants.errno;

/** What was being done. */
export type ArchiveWork = "read" | "write";

/**
 * An error for the caller.
 * @param reference the container as the caller named it.
 * @param asked the path as the caller named it.
 */
export function archiveError(
  error: unknown,
  reference: string,
  path: string,
  work: ArchiveWork,
  asked = path,
): unknown {
  if (!(error instanceof ArchiveError)) return error;
  const { step, errno, message } = error.failure;
  switch (errno) {
    case ENOENT: {
      const text = `Could not find the file ${asked} in container ${reference}`;
      return notFound("path", path, text, { cause: error });
    }
    case ENOTDIR:
      return internal(
        work === "write" && !/\/\.?$/.test(path)
          ? "not a directory"
          : `lstat ${path}: not a directory`,
        { cause: error },
      );
    case ENAMETOOLONG:
      return internal(`lstat ${nodePath.join("/", path)}: file name too long`, { cause: error });
    case ELOOP:
      return internal(endlessLinks(path, step, work), { cause: error });
    case EROFS:
      // A read-only root is refused before: this is a mount below another one.
      return invalidArgument("mounted volume is marked read-only", { cause: error });
    case EBUSY:
      // A mount point (a container's /etc/hosts) in the place of an entry.
      return internal(step === "remove" ? busyEntry(error.failure) : error.message, {
        cause: error,
      });
    case ENOSPC:
    case EDQUOT:
      return internal("no space left on device", { cause: error });
    case 0:
      if (step === "user") return unknownUser(error, message);
      return internal(
        step === "limit" || step === "sandbox" || step === "memory"
          ? error.message
          : badArchive(error.failure),
        { cause: error },
      );
    default:
      return internal(error.message, { cause: error });
  }
}

/** A path that a link ends is described first, then where that leads. */
function endlessLinks(path: string, step: string, work: ArchiveWork): string {
  if (work === "write") return "EvalSymlinks: too many links";
  return step === "link target"
    ? `evalSymlinksInScope: too many links in ${nodePath.join("/", path)}`
    : `lstat ${path}: too many levels of symbolic links`;
}

/** As Go's os.Root.RemoveAll says it. */
function busyEntry({ path }: ArchiveFailure): string {
  return `RemoveAll ${nodePath.join(path).replace(/\/$/, "")}: device or resource busy`;
}

/** What is wrong with an archive, or with what it would overwrite. */
function badArchive({ path, message }: ArchiveFailure): string {
  const [, before = "", target = "", after = ""] =
    /^(cannot overwrite (?:non-)?directory ")(.*)(" with .*)$/s.exec(message) ?? [];
  if (before !== "") return `${before}${nodePath.join(path).replace(/\/$/, "") || target}${after}`;
  if (message.includes(" is outside of ")) return `invalid entry name ${JSON.stringify(path)}`;
  const [, link] = /^invalid hardlink .* -> (".*")$/s.exec(message) ?? [];
  if (link !== undefined) return `invalid hardlink target ${link}`;
  if (/^(?:read tar|decompress \w+): unexpected end/.test(message)) return "unexpected EOF";
  return message === "read tar: invalid header checksum"
    ? "archive/tar: invalid tar header"
    : message;
}

/** The program speaks of users as the start of a container does. */
function unknownUser(error: ArchiveError, message: string): unknown {
  const [, noun = "user", reason = message] =
    /^unable to find (user|group) .*?: (.*)$/s.exec(message) ?? [];
  const [user = "", group = ""] = error.failure.path.split(":");
  const name = JSON.stringify(noun === "user" ? user : group);
  // A number that can be no ID is looked for as a name.
  const why = reason.startsWith("uids and gids")
    ? `no matching entries in ${noun === "user" ? "passwd" : "group"} file`
    : reason;
  return invalidArgument(`failed to look up ${noun} ${name} in container: ${why}`, {
    cause: error,
  });
}
