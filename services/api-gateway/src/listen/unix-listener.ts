/** A Unix socket that both protocols are served on. */
import { chmod, chown } from "node:fs/promises";
import net from "node:net";
import { placeSocket, removeSocket, type SocketAccess, socketInode } from "@gantry/rpc";
import type { ConnectionBudget } from "./connection-budget.ts";
import { type ProtocolTakers, switchProtocol } from "./protocol-switch.ts";

/** A listening socket. */
export interface Listener {
  /** Where clients connect: a path, or `address:port`. */
  readonly address: string;
  /** Takes no more connections and removes the socket file, unless another holds the socket. Open connections stay. */
  close(): Promise<void>;
}

/** Options of listenUnix. */
export interface UnixListenerOptions {
  readonly path: string;
  readonly access: SocketAccess;
  readonly takers: ProtocolTakers;
  readonly budget: ConnectionBudget;
  /** Listens at the path already; whoever handed it to us holds it beyond our end. */
  readonly descriptor?: number | undefined;
}

/** As many clients may wait. */
const backlog = 4096;

/** Listens; a stale socket file of a dead process is replaced. Throws conflict when a living one answers. */
export async function listenUnix(options: UnixListenerOptions): Promise<Listener> {
  const { path, takers, budget } = options;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    if (budget.admit(socket)) switchProtocol(socket, takers);
  });
  if (options.descriptor !== undefined)
    return await listenHeld(server, options.descriptor, options);
  await placeSocket(path, options.access, (temporary) =>
    listen(server, { path: temporary, backlog }),
  );
  const inode = await socketInode(path);
  return {
    address: path,
    async close() {
      await removeSocket(path, inode);
      server.close();
    },
  };
}

/** A socket unit of systemd knows nothing of the group that may connect. */
async function listenHeld(
  server: net.Server,
  fd: number,
  { path, access }: UnixListenerOptions,
): Promise<Listener> {
  if (access.gid !== undefined) await chown(path, process.getuid?.() ?? 0, access.gid);
  await chmod(path, access.mode ?? 0o660);
  await listen(server, { fd, backlog });
  return {
    address: path,
    close() {
      server.close();
      return Promise.resolve();
    },
  };
}

/** Resolves when the server listens. */
export function listen(
  server: net.Server,
  where: net.ListenOptions | { readonly fd: number; readonly backlog: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
