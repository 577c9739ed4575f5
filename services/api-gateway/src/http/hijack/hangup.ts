/** Tells a client that is gone from one that has only ended its input. */
import type net from "node:net";
import { loadKernel } from "@gantry/native";

/**
 * Calls back when the peer of a Unix socket has closed it altogether, and stops watching when the socket
 * is closed. On other sockets it does nothing: TCP has no word for it, and finds out at the next write
 * or keep-alive probe.
 */
export function onHangup(socket: net.Socket, callback: () => void): void {
  const fd = unixDescriptor(socket);
  if (fd === undefined || socket.destroyed) return;
  const watch = loadKernel().watchHangup(fd, callback);
  socket.once("close", () => {
    watch.close();
  });
}

/** Node keeps the descriptor in the handle; it is -1 when the socket is closed. */
function unixDescriptor(socket: net.Socket): number | undefined {
  if (socket.remoteAddress !== undefined) return undefined;
  const { _handle: handle } = socket as net.Socket & { _handle?: { fd?: number } | null };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}
