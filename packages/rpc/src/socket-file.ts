import { chmod, chown, lstat, rename, rm } from "node:fs/promises";
import net from "node:net";
import { conflict, hasErrno } from "@gantry/errors";

/** Who may connect to a Unix socket. */
export interface SocketAccess {
  /** Permission bits. Default 0660. */
  readonly mode?: number;
  /** Owning group. Default: the process's own. */
  readonly gid?: number;
}

/**
 * Puts a listening socket in place. `listen` binds a temporary path beside the final one; it gets its
 * access rights there and is then renamed, so that nobody can connect before the rights are set, and
 * a stale socket of a dead process is replaced in the same step.
 * Throws conflict when a living process answers at the path.
 */
export async function placeSocket(
  socketPath: string,
  access: SocketAccess,
  listen: (temporaryPath: string) => Promise<void>,
): Promise<void> {
  if (await answers(socketPath)) throw conflict(`socket ${socketPath} is in use`);
  const temporary = `${socketPath}~`;
  await rm(temporary, { force: true });
  await listen(temporary);
  if (access.gid !== undefined) await chown(temporary, process.getuid?.() ?? 0, access.gid);
  await chmod(temporary, access.mode ?? 0o660);
  await rename(temporary, socketPath);
}

/** Listens at a path. Rejects when that fails. */
export function listen(server: net.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Inode of the socket file, to tell it from one that a successor put in its place. */
export async function socketInode(socketPath: string): Promise<number | undefined> {
  try {
    return (await lstat(socketPath)).ino;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Removes the socket file, if it is still the one with this inode. */
export async function removeSocket(socketPath: string, inode: number | undefined): Promise<void> {
  if (inode !== undefined && (await socketInode(socketPath)) === inode) await rm(socketPath);
}

/** Whether somebody accepts connections at a Unix socket path. */
export function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}
