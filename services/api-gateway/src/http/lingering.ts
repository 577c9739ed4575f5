/** Ends an answer whose request is still coming, in a way that the client gets to read it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { takenBody } from "./raw-body.ts";

/** How much of a refused body is read away, and for how long, before the connection is cut. */
const lingerBytes = 16 * 1024 * 1024;
const lingerMs = 1000;

/**
 * Closing a socket with unread bytes makes the kernel throw away what was sent: so the rest of the body
 * is read for a little while, then the connection ends.
 */
export function discardRest(request: IncomingMessage, response: ServerResponse): void {
  let left = lingerBytes;
  const raw = takenBody(request);
  const source = raw?.socket ?? request;
  const finish = (): void => {
    clearTimeout(timer);
    source.off("data", onData);
    response.end();
  };
  const onData = (chunk: Buffer): void => {
    left -= chunk.length;
    if (left < 0) finish();
  };
  const timer = setTimeout(finish, lingerMs);
  timer.unref();
  source.on("data", onData);
  source.once("end", finish);
  source.once("close", finish);
  if (raw === undefined) request.resume();
  else raw.discard();
}
