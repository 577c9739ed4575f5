/**
 * Where others ask for a service that is started when it is wanted: they connect, and the connection is
 * closed when the service is ready. A byte before the end says that it could not be started.
 */
import { rmSync } from "node:fs";
import net from "node:net";
import type { Logger } from "@gantry/logging";

/** An open socket. */
export type WakeSocket = AsyncDisposable;

/** Options of openWakeSocket. */
export interface WakeSocketOptions {
  readonly path: string;
  /** Rejects when the service can't be started. */
  readonly onWake: () => Promise<void>;
  readonly logger: Logger;
}

/** Listens; only the engine's own user may connect. */
export async function openWakeSocket(options: WakeSocketOptions): Promise<WakeSocket> {
  const { path, onWake, logger } = options;
  rmSync(path, { force: true });
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => open.delete(socket));
    socket.resume();
    onWake().then(
      () => socket.end(),
      (error: unknown) => {
        logger.error({ err: error }, "service cannot be started");
        socket.end("!");
      },
    );
  });
  const umask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(umask);
  }
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", reject);
  });
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      rmSync(path, { force: true });
    },
  };
}
