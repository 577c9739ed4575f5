/** A relay whose control socket was taken away: nobody can speak to it any more, and it holds our ports. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { hasErrno } from "@gantry/errors";
import type { DescriptorKernel, ProcessKernel } from "@gantry/native";

/** What is asked of the kernel. */
export type OrphanKernel = Pick<DescriptorKernel, "closeFd"> &
  Pick<ProcessKernel, "pidfdOpen" | "pidfdSendSignal" | "watchPidfd">;

/** How relays call themselves. */
export const relayTitle = "gantry-relay";

const sigkill = 9;
const endsWithinMs = 5000;
/** In the flags of /proc/net/unix: it listens. */
const accepts = 0x1_0000;

/** Ends the relays that listen at this path though it is not there. Resolves with their number. */
export async function endOrphanRelays(kernel: OrphanKernel, socketPath: string): Promise<number> {
  const sockets = await listenersAt(socketPath);
  if (sockets.size === 0) return 0;
  let count = 0;
  for (const name of await readdir("/proc")) {
    if (/^\d+$/.test(name) && (await isRelayWith(name, sockets))) {
      if (await end(kernel, name, sockets)) count += 1;
    }
  }
  return count;
}

/** The kernel knows a socket by the path that it was bound to, also when that is gone. */
async function listenersAt(socketPath: string): Promise<ReadonlySet<string>> {
  const lines = (await readFile("/proc/net/unix", "utf8")).split("\n");
  const found = lines.flatMap((line) => {
    const [, , , flags = "", , , inode = "", ...path] = line.trim().split(/\s+/);
    const listens = (Number.parseInt(flags, 16) & accepts) !== 0;
    return listens && path.join(" ") === socketPath ? [`socket:[${inode}]`] : [];
  });
  return new Set(found);
}

/**
 * Descriptors first: reading a `cmdline` waits for the memory map of the process, which a stranger on a frozen disk
 * may hold for ever.
 */
async function isRelayWith(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  try {
    const fds = await readdir(`/proc/${pid}/fd`);
    const links = await Promise.all(fds.map((fd) => unlessGone(readlink(`/proc/${pid}/fd/${fd}`))));
    if (!links.some((link) => link !== undefined && sockets.has(link))) return false;
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).startsWith(relayTitle);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/**
 * A process ends, and a busy relay closes descriptors, while we look. Whose descriptors not even root may see (EACCES)
 * is no relay of ours.
 */
const isGone = (error: unknown): boolean =>
  hasErrno(error, "ENOENT") || hasErrno(error, "ESRCH") || hasErrno(error, "EACCES");

async function unlessGone<T>(looked: Promise<T>): Promise<T | undefined> {
  try {
    return await looked;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Whether it was one, and has ended. */
async function end(
  kernel: OrphanKernel,
  pid: string,
  sockets: ReadonlySet<string>,
): Promise<boolean> {
  let pidfd: number;
  try {
    pidfd = kernel.pidfdOpen(Number(pid));
  } catch (error) {
    if (hasErrno(error, "ESRCH")) return false;
    throw error;
  }
  try {
    // Looked at again: now the number cannot pass to another process.
    if (!(await isRelayWith(pid, sockets))) return false;
    const ended = Promise.withResolvers<boolean>();
    const watch = kernel.watchPidfd(pidfd, () => {
      ended.resolve(true);
    });
    const late = setTimeout(() => {
      watch.close();
      ended.resolve(false);
    }, endsWithinMs);
    kernel.pidfdSendSignal(pidfd, sigkill);
    const hasEnded = await ended.promise;
    clearTimeout(late);
    return hasEnded;
  } finally {
    kernel.closeFd(pidfd);
  }
}
