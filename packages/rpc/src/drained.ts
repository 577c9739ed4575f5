/** Waiting for who reads a stream. */
import type { Writable } from "node:stream";

/** Resolves when what was written has been taken, or the stream is gone. Only after a write that returned false. */
export function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.once("drain", done);
    stream.once("close", done);
  });
}
