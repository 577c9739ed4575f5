/** A Unix socket that both protocols are served on. */
import net from "node:net";
import { placeSocket, removeSocket, type SocketAccess, socketInode } from "@gantry/rpc";
import type { ConnectionBudget } from "./connection-budget.ts";
import { type ProtocolTakers, switchProtocol } from "./protocol-switch.ts";

/** A listening socket. */
export interface Listener {
  /** Where clients connect: a path, or `address:port`. */
  readonly address: string;
  /** Takes no more connections and removes the socket file. Open connections stay. */
  close(): Promise<void>;
}

/** Options of listenUnix. */
export interface UnixListenerOptions {
  readonly path: string;
  readonly access: SocketAccess;
  readonly takers: ProtocolTakers;
  readonly budget: ConnectionBudget;
}

/** Listens; a stale socket file of a dead process is replaced. Throws conflict when a living one answers. */
export async function listenUnix(options: UnixListenerOptions): Promise<Listener> {
  const { path, takers, budget } = options;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    if (budget.admit(socket)) switchProtocol(socket, takers);
  });
  await placeSocket(path, options.access, (temporary) =>
    listen(server, { path: temporary, backlog: 4096 }),
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

/** Resolves when the server listens. */
export function listen(server: net.Server, where: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
