/** Ends an answer whose request is still coming, in a way that the client gets to read it. */
import type { IncomingMessage, ServerResponse } from "node:http";

/** How much of a refused body is read away, and for how long, before the connection is cut. */
const lingerBytes = 16 * 1024 * 1024;
const lingerMs = 1000;

/**
 * Closing a socket with unread bytes makes the kernel throw away what was sent: so the rest of the body
 * is read for a little while, then the connection ends.
 */
export function discardRest(request: IncomingMessage, response: ServerResponse): void {
  let left = lingerBytes;
  const finish = (): void => {
    clearTimeout(timer);
    request.off("data", onData);
    response.end();
  };
  const onData = (chunk: Buffer): void => {
    left -= chunk.length;
    if (left < 0) finish();
  };
  const timer = setTimeout(finish, lingerMs);
  timer.unref();
  request.on("data", onData);
  request.once("end", finish);
  request.once("close", finish);
  request.resume();
}
