/**
 * The data plane: bulk bytes go around the control calls. A control call answers with a path and a
 * one-time ticket; whoever connects to the path and writes the ticket as its first 32 bytes is
 * handed to the ticket's handler.
 */
import { randomBytes } from "node:crypto";
import net from "node:net";
import { EngineError, internal, notFound } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import {
  listen,
  placeSocket,
  removeSocket,
  type SocketAccess,
  socketInode,
} from "./socket-file.ts";

/** Length of a ticket. */
export const ticketBytes = 32;

/** A connection that sends no ticket within this time is cut. */
const ticketTimeoutMs = 5000;

/** Connections that have not shown their ticket yet. More are cut at once. */
const maxWaiting = 1024;

/** Where to connect, and what to show there. */
export interface DataTarget {
  readonly path: string;
  readonly ticket: Uint8Array;
}

/**
 * Serves one data connection. The socket allows half-open: end() closes our direction only. When the
 * promise resolves our direction is ended; when it rejects the socket is destroyed.
 * `signal` aborts when the connection is closed before all was written and ended, or the listener closes. A peer
 * that closed both ways looks like one that half-closed until we write to it: the kernel tells no sooner.
 *
 * Beware: `for await` over a socket, and all that is built on it, destroys both directions when the
 * reading one ends. Use `socket.iterator({ destroyOnReturn: false })`, or `pipeline` for one way.
 */
export type DataHandler = (socket: net.Socket, signal: AbortSignal) => Promise<void>;

/** Options of openDataListener. */
export interface DataListenerOptions {
  readonly socketPath: string;
  readonly logger: Logger;
  readonly access?: SocketAccess;
}

/** A data plane socket and its open tickets. */
export interface DataListener extends AsyncDisposable {
  readonly path: string;
  /** Makes a ticket for one connection, within `ttlMs` (default 30 s). `onUnused` is called when none comes. */
  issue(
    handler: DataHandler,
    options?: { readonly ttlMs?: number; readonly onUnused?: () => void },
  ): DataTarget;
  /** Takes a ticket back. False when it was used, is late, or was never issued. */
  revoke(ticket: Uint8Array): boolean;
  /** Cuts all connections and removes the socket. */
  close(): Promise<void>;
}

interface Pending {
  readonly handler: DataHandler;
  readonly timer: NodeJS.Timeout;
  readonly onUnused: (() => void) | undefined;
}

/** Opens a data plane socket. Resolves when it listens. */
export async function openDataListener(options: DataListenerOptions): Promise<DataListener> {
  const { socketPath, logger } = options;
  const pending = new Map<string, Pending>();
  const sockets = new Set<net.Socket>();
  const waiting = new Set<net.Socket>();

  const take = (key: string): Pending | undefined => {
    const entry = pending.get(key);
    if (entry === undefined) return undefined;
    pending.delete(key);
    clearTimeout(entry.timer);
    return entry;
  };

  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    if (waiting.size >= maxWaiting) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    waiting.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      waiting.delete(socket);
    });
    readTicket(socket)
      .then((ticket) => {
        waiting.delete(socket);
        const entry = take(key(ticket));
        if (entry === undefined) throw notFound("ticket", "", "unknown ticket");
        serve(socket, entry.handler, logger);
      })
      .catch((error: unknown) => {
        logger.debug({ err: error }, "data connection refused");
        socket.destroy();
      });
  });
  await placeSocket(socketPath, options.access ?? {}, (path) => listen(server, path));
  const inode = await socketInode(socketPath);

  const close = async (): Promise<void> => {
    await removeSocket(socketPath, inode);
    for (const unused of [...pending.keys()]) take(unused)?.onUnused?.();
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
    });
  };

  return {
    path: socketPath,
    issue(handler, { ttlMs = 30_000, onUnused } = {}) {
      const ticket = randomBytes(ticketBytes);
      const timer = setTimeout(() => take(key(ticket))?.onUnused?.(), ttlMs);
      timer.unref();
      pending.set(key(ticket), { handler, timer, onUnused });
      return { path: socketPath, ticket };
    },
    revoke(ticket) {
      const entry = take(key(ticket));
      entry?.onUnused?.();
      return entry !== undefined;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const key = (ticket: Uint8Array): string => Buffer.from(ticket).toString("hex");

/** Reads exactly the ticket and leaves what follows in the socket. */
function readTicket(socket: net.Socket): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const finish = (result: Uint8Array | Error): void => {
      clearTimeout(timer);
      socket.off("readable", onReadable);
      socket.off("end", onEnd);
      socket.off("error", onError);
      socket.off("close", onEnd);
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    const onReadable = (): void => {
      const bytes: unknown = socket.read(ticketBytes);
      if (bytes instanceof Uint8Array) {
        finish(bytes.length === ticketBytes ? bytes : internal("connection ended in its ticket"));
      }
    };
    const onEnd = (): void => {
      finish(internal("connection ended before its ticket"));
    };
    const onError = (error: Error): void => {
      finish(error);
    };
    const timer = setTimeout(() => {
      finish(new EngineError("deadline_exceeded", "connection sent no ticket"));
    }, ticketTimeoutMs);
    socket.on("readable", onReadable);
    socket.once("end", onEnd);
    socket.on("error", onError);
    socket.once("close", onEnd);
  });
}

function serve(socket: net.Socket, handler: DataHandler, logger: Logger): void {
  const controller = new AbortController();
  // The handler sees a broken peer by the signal and by its own reads and writes.
  socket.on("error", () => undefined);
  socket.once("close", () => {
    // A peer that goes when it has got everything breaks nothing off.
    if (!socket.writableFinished) controller.abort();
  });
  Promise.try(handler, socket, controller.signal).then(
    () => {
      if (!socket.writableEnded) socket.end();
    },
    (error: unknown) => {
      if (!controller.signal.aborted) logger.warn({ err: error }, "data connection failed");
      socket.destroy();
    },
  );
}

/** Options of connectData. */
export interface ConnectDataOptions {
  /** Gives up connecting. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Reads into one buffer of the caller's instead of emitting `data` (see net.connect). Reading begins
   * with resume().
   */
  readonly onread?: net.OnReadOpts;
}

/**
 * Connects to a data plane socket and shows the ticket. The socket allows half-open. A refused ticket
 * is seen as a connection that ends at once. Throws `unavailable` when nobody listens.
 */
export function connectData(
  target: DataTarget,
  options: ConnectDataOptions = {},
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const { onread } = options;
    const socket = net.connect({
      path: target.path,
      allowHalfOpen: true,
      ...(onread !== undefined && { onread }),
    });
    if (onread !== undefined) socket.pause();
    const onAbort = (): void => {
      socket.destroy();
      reject(new EngineError("canceled", "the connection was canceled"));
    };
    if (options.signal?.aborted === true) {
      onAbort();
      return;
    }
    options.signal?.addEventListener("abort", onAbort, { once: true });
    const onError = (error: Error): void => {
      options.signal?.removeEventListener("abort", onAbort);
      reject(
        new EngineError("unavailable", `connect to ${target.path}`, {
          cause: error,
        }),
      );
    };
    socket.once("error", onError);
    socket.once("connect", () => {
      options.signal?.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      socket.write(target.ticket);
      resolve(socket);
    });
  });
}
