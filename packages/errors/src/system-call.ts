/** Failed system calls in the words of Go's programs, which clients know. */
import { getSystemErrorMessage, getSystemErrorName } from "node:util";

/** Where libuv's words for an errno are others. */
const texts: ReadonlyMap<string, string> = new Map([
  ["EADDRNOTAVAIL", "cannot assign requested address"],
  ["EAFNOSUPPORT", "address family not supported by protocol"],
  ["EALREADY", "operation already in progress"],
  ["EBUSY", "device or resource busy"],
  ["EEXIST", "file exists"],
  ["EFAULT", "bad address"],
  ["EHOSTUNREACH", "no route to host"],
  ["EIO", "input/output error"],
  ["EISCONN", "transport endpoint is already connected"],
  ["EISDIR", "is a directory"],
  ["ELOOP", "too many levels of symbolic links"],
  ["EMFILE", "too many open files"],
  ["ENAMETOOLONG", "file name too long"],
  ["ENFILE", "too many open files in system"],
  ["ENOMEM", "cannot allocate memory"],
  ["ENOTCONN", "transport endpoint is not connected"],
  ["ENOTSUP", "operation not supported"],
  ["ERANGE", "numerical result out of range"],
  ["ESPIPE", "illegal seek"],
  ["ETXTBSY", "text file busy"],
  ["EXDEV", "invalid cross-device link"],
]);

/** What an errno says, `no space left on device`. */
export function errnoText(errno: number): string {
  // Node's are negative.
  const uv = -Math.abs(errno);
  return texts.get(getSystemErrorName(uv)) ?? getSystemErrorMessage(uv);
}

/**
 * `mkdir /a/b: no space left on device`, of an error that Node or our addon made of an errno, whose own message begins
 * with the errno's name; undefined for others.
 */
export function systemCallText(error: Error): string | undefined {
  const { code, errno, syscall, path, dest } = error as NodeJS.ErrnoException & { dest?: unknown };
  if (typeof code !== "string" || typeof errno !== "number" || typeof syscall !== "string") return;
  if (!error.message.startsWith(`${code}: `)) return;
  const places = [path, dest].filter((place) => typeof place === "string" && place !== "");
  return `${[syscall, ...places].join(" ")}: ${errnoText(errno)}`;
}
