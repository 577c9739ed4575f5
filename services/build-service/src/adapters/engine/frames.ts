/** Docker's stream frames: one byte of stream, three of nothing, four of length, then the bytes. */
import type { Readable } from "node:stream";
import type { LogStream } from "../../ports/progress.ts";

const headBytes = 8;

/** Reads frames to the end of the stream. A stream that is destroyed ends here, too. */
export async function readFrames(
  stream: Readable,
  onOutput: (stream: LogStream, bytes: Uint8Array) => void,
): Promise<void> {
  let head = Buffer.alloc(0);
  let left = 0;
  let which: LogStream = 1;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let at = 0;
    while (at < chunk.length) {
      if (left > 0) {
        const part = chunk.subarray(at, at + left);
        onOutput(which, Buffer.from(part));
        at += part.length;
        left -= part.length;
        continue;
      }
      const more = chunk.subarray(at, at + headBytes - head.length);
      head = Buffer.concat([head, more]);
      at += more.length;
      if (head.length < headBytes) continue;
      which = head[0] === 2 ? 2 : 1;
      left = head.readUInt32BE(4);
      head = Buffer.alloc(0);
    }
  }
}
