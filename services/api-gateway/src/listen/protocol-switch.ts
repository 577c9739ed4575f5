/**
 * Tells HTTP/1.1 from HTTP/2 by the first bytes of a connection: HTTP/2 without TLS begins with
 * `PRI * HTTP/2.0`, and no method of HTTP/1.1 begins so.
 */
import type { Socket } from "node:net";

/** Takes over a connection whose first bytes are still in it. */
export type ConnectionTaker = (socket: Socket) => void;

/** Both ways a connection can go. */
export interface ProtocolTakers {
  readonly http1: ConnectionTaker;
  readonly http2: ConnectionTaker;
}

/** A connection that says nothing for so long is closed. Clients connect when they have something to say. */
const firstByteMs = 120_000;

const preface = Buffer.from("PRI");

/** Waits for the first bytes of a connection, then gives it to its server. */
export function switchProtocol(socket: Socket, takers: ProtocolTakers): void {
  const onTimeout = (): void => {
    socket.destroy();
  };
  const onReadable = (): void => {
    const head = socket.read() as Buffer | null;
    if (head === null) return;
    const known = Math.min(head.length, preface.length);
    const isPrefix = preface.compare(head, 0, known, 0, known) === 0;
    if (isPrefix && known < preface.length) {
      socket.unshift(head);
      return;
    }
    release();
    socket.unshift(head);
    (isPrefix ? takers.http2 : takers.http1)(socket);
  };
  const onGone = (): void => {
    release();
    socket.destroy();
  };
  const release = (): void => {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("end", onGone);
    socket.off("error", onGone);
  };
  const timer = setTimeout(onTimeout, firstByteMs);
  timer.unref();
  socket.on("readable", onReadable);
  socket.once("end", onGone);
  socket.once("error", onGone);
}
