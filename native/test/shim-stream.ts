import { connect, type Socket } from "node:net";

/** A client of io.sock. */
export class Stream {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly ticketSent: Promise<void>;
  #chunks: Buffer[] = [];
  #wake: (() => void)[] = [];

  constructor(path: string, ticket: Uint8Array) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.ticketSent = new Promise((resolve) => {
      this.socket.write(ticket, () => {
        resolve();
      });
    });
    this.socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      for (const wake of this.#wake.splice(0)) wake();
    });
    this.socket.on("error", () => undefined);
    this.closed = new Promise((resolve) => {
      this.socket.on("close", resolve);
      this.socket.on("end", () => {
        this.socket.end();
      });
    });
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Frames joined per stream. */
  frames(): { stdout: string; stderr: string } {
    const out = { stdout: "", stderr: "" };
    const bytes = this.bytes();
    for (let at = 0; at + 8 <= bytes.length; ) {
      const length = bytes.readUInt32BE(at + 4);
      const text = bytes.subarray(at + 8, at + 8 + length).toString();
      if (bytes[at] === 2) out.stderr += text;
      else out.stdout += text;
      at += 8 + length;
    }
    return out;
  }

  text(): string {
    const { stdout, stderr } = this.frames();
    return stdout + stderr;
  }

  /** Waits until the bytes hold a text. */
  async until(text: string): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!this.bytes().includes(text)) {
      if (Date.now() > deadline)
        throw new Error(`no ${JSON.stringify(text)} in ${JSON.stringify(this.bytes().toString())}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 500);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }
}
