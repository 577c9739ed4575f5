import type { ErrorKind } from "./kinds.ts";

/**
 * Node's error codes that say more than "internal". What is not listed is our fault or the machine's: a
 * full disk is no limit of the caller's, and 500 in Docker's API (429 would make clients wait and retry).
 */
const kindsByErrno: ReadonlyMap<string, ErrorKind> = new Map<string, ErrorKind>([
  ["ENOENT", "not_found"],
  ["ESRCH", "not_found"],
  ["EEXIST", "already_exists"],
  ["EACCES", "permission_denied"],
  ["EPERM", "permission_denied"],
  ["EROFS", "permission_denied"],
  ["EBUSY", "conflict"],
  ["ENOTEMPTY", "conflict"],
  ["EADDRINUSE", "conflict"],
  ["EINVAL", "invalid_argument"],
  ["ENAMETOOLONG", "invalid_argument"],
  ["ELOOP", "invalid_argument"],
  ["ENOTDIR", "invalid_argument"],
  ["EISDIR", "invalid_argument"],
  ["ECONNREFUSED", "unavailable"],
  ["ECONNRESET", "unavailable"],
  ["EPIPE", "unavailable"],
  ["EHOSTUNREACH", "unavailable"],
  ["ENETUNREACH", "unavailable"],
  ["ENOTFOUND", "unavailable"],
  ["EAI_AGAIN", "unavailable"],
  ["ETIMEDOUT", "deadline_exceeded"],
  ["ENOSYS", "not_implemented"],
  ["EOPNOTSUPP", "not_implemented"],
  ["ABORT_ERR", "canceled"],
]);

/** Kind of a Node error code, or undefined when the code says nothing to a caller. */
export function errnoKind(code: string): ErrorKind | undefined {
  return kindsByErrno.get(code);
}

/** Whether a caught value is a Node system error with this code, for example `ENOENT`. */
export function hasErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
