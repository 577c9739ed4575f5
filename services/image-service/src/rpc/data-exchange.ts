/** One data connection that belongs to a call: offered first, then used, then ended with the call. */
import { once } from "node:events";
import type net from "node:net";
import { canceled, deadlineExceeded } from "@gantry/errors";
import type { DataListener, DataTarget } from "@gantry/rpc";

/** How long the peer may take to connect. */
const connectTimeoutMs = 30_000;

/** A connection that may come. */
export interface DataExchange extends Disposable {
  readonly target: DataTarget;
  /** The connection. Rejects when none comes in time, or the call ends. */
  readonly socket: Promise<net.Socket>;
  /** Ends our direction in an orderly way; without it, disposing cuts the connection. */
  finish(): void;
}

export function openExchange(listener: DataListener, signal: AbortSignal): DataExchange {
  const connected = Promise.withResolvers<net.Socket>();
  const served = Promise.withResolvers<undefined>();
  // Either may fail with nobody waiting yet.
  connected.promise.catch(() => undefined);
  served.promise.catch(() => undefined);
  const target = listener.issue(
    async (socket) => {
      connected.resolve(socket);
      await served.promise;
    },
    { ttlMs: connectTimeoutMs },
  );
  const timer = setTimeout(() => {
    connected.reject(deadlineExceeded("nobody connected to the data endpoint"));
  }, connectTimeoutMs);
  const onAbort = (): void => {
    connected.reject(canceled("the call was canceled"));
    served.reject(canceled("the call was canceled"));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    target,
    socket: connected.promise,
    finish: () => {
      served.resolve(undefined);
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      listener.revoke(target.ticket);
      connected.reject(canceled("the call has ended"));
      served.reject(canceled("the call has ended"));
    },
  };
}

/** The bytes that a peer sends until it half-closes. */
export async function* receive(exchange: DataExchange): AsyncGenerator<Uint8Array> {
  const socket = await exchange.socket;
  yield* socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}

/** Sends bytes with back-pressure. Throws when the peer is gone. */
export async function send(
  exchange: DataExchange,
  bytes: AsyncIterable<Uint8Array>,
): Promise<void> {
  const socket = await exchange.socket;
  // What the peer might send means nothing, but its end must be noticed.
  socket.resume();
  for await (const chunk of bytes) {
    if (socket.destroyed) throw canceled("the reader went away");
    if (!socket.write(chunk)) await drained(socket);
  }
}

async function drained(socket: net.Socket): Promise<void> {
  const gone = new AbortController();
  const onClose = (): void => {
    gone.abort();
  };
  socket.once("close", onClose);
  try {
    await once(socket, "drain", { signal: gone.signal });
  } catch (error) {
    throw canceled("the reader went away", { cause: error });
  } finally {
    socket.off("close", onClose);
  }
}
