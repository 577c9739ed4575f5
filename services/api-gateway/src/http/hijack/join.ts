/** Joins a client's socket with a data-plane socket: bytes both ways, with back-pressure and half-close. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { OutputConnection } from "../output.ts";
import { onHangup } from "./hangup.ts";

/** After our side has ended, the client gets this long to close its own. */
const lingerMs = 1000;

/** Options of join. */
export interface JoinOptions {
  /** The client's bytes go to the data socket; else they are thrown away. */
  readonly input: boolean;
  /** The connection below the client's stream. */
  readonly connection: Socket;
  /** Held back until this resolves: the end of the client's connection. It must not reject. */
  readonly beforeEnd?: () => Promise<void>;
}

/**
 * Joins until either side is gone. The client's end of input half-closes the data socket; the data
 * socket's end ends the client's connection, as Docker does when the process is gone.
 * Never rejects: a broken side closes the other.
 */
export function join(
  client: Duplex,
  output: OutputConnection,
  options: JoinOptions,
): Promise<void> {
  const { socket: data } = output;
  const { input, connection, beforeEnd = () => Promise.resolve() } = options;
  return new Promise((resolve) => {
    client.on("error", () => undefined);
    data.on("error", () => undefined);
    output.sendTo(client);
    if (input) client.pipe(data);
    else client.resume();
    let ending = false;
    const onDataEnded = (): void => {
      client.unpipe(data);
      if (ending) return;
      ending = true;
      void beforeEnd().then(() => {
        if (!client.writableEnded) client.end();
        closeSoon(client);
      });
    };
    client.once("end", () => {
      // Half-closed or gone? A container that prints nothing would never find out.
      onHangup(connection, () => {
        client.destroy();
      });
    });
    client.once("close", () => {
      data.destroy();
      resolve();
    });
    data.once("end", onDataEnded);
    data.once("close", onDataEnded);
    if (client.destroyed) {
      data.destroy();
      resolve();
    }
  });
}

/** Ends the connection when what was written is out and the client has closed, or did not in time. */
export function closeSoon(client: Duplex): void {
  client.resume();
  const destroy = (): void => {
    client.destroy();
  };
  const linger = (): void => {
    if (client.readableEnded) {
      destroy();
      return;
    }
    const timer = setTimeout(destroy, lingerMs);
    timer.unref();
    client.once("end", destroy);
    client.once("close", () => {
      clearTimeout(timer);
    });
  };
  if (client.writableFinished) linger();
  else client.once("finish", linger);
}
