/**
 * The way from a service to a client, the hottest one there is: one buffer per connection that the
 * kernel fills and empties, where a pipe would allocate one for every read.
 */
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { EngineError } from "@gantry/errors";
import { connectData } from "@gantry/rpc";
import type { Endpoint } from "./relay.ts";

/** What one read takes at most: about what a Unix socket holds. */
const bufferBytes = 192 * 1024;

/** A connection to a service's bytes. Nothing is read before `sendTo`. */
export interface OutputConnection {
  /** For input, half-close and its events; its `data` events don't exist. */
  readonly socket: Socket;
  /** Sends all that comes to the client, as fast as the client takes it. The client is not ended. */
  sendTo(client: Writable): void;
}

/** Connects to an endpoint that must be there. */
export async function connectOutput(
  endpoint: Endpoint | undefined,
  signal: AbortSignal,
): Promise<OutputConnection> {
  if (endpoint === undefined)
    throw new EngineError("internal", "the service gave no data endpoint");
  let target: Writable | undefined;
  /** Writes whose bytes may still be in the buffer. */
  let pending = 0;
  let waiting = false;
  const onWritten = (): void => {
    pending--;
    if (pending > 0 || !waiting) return;
    waiting = false;
    socket.resume();
  };
  const socket = await connectData(endpoint, {
    signal,
    onread: {
      buffer: Buffer.allocUnsafeSlow(bufferBytes),
      callback: (count, buffer) => {
        if (target === undefined || target.destroyed) return true;
        pending++;
        target.write(buffer.subarray(0, count), onWritten);
        // Nothing left to write: the kernel has it all, and the buffer is free.
        if (target.writableLength === 0) return true;
        waiting = true;
        return false;
      },
    },
  });
  socket.on("error", () => undefined);
  return {
    socket,
    sendTo(client) {
      target = client;
      socket.resume();
    },
  };
}
