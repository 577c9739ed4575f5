/** Tells a client that is gone from one that has only ended its input. */
import type net from "node:net";
import { loadKernel } from "@gantry/native";
import { unixDescriptor } from "../descriptor.ts";

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
