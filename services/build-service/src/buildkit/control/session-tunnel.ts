/** A session inside of a call: the bytes of its connection travel in messages. */
import { Duplex } from "node:stream";
import type { HandlerContext } from "@connectrpc/connect";
import type { BytesMessage } from "@gantry/proto/buildkit";
import type { SessionIntroduction } from "../session/session.ts";
import type { SessionRegistry } from "../session/session-registry.ts";

/** Message bytes at most; clients refuse more than 4 MiB. */
const maxChunkBytes = 1024 * 1024;

/** Opens a session on a call and carries its bytes until either side ends. */
export async function* acceptTunnel(
  sessions: SessionRegistry,
  messages: AsyncIterable<BytesMessage>,
  context: HandlerContext,
): AsyncGenerator<{ data: Uint8Array<ArrayBuffer> }> {
  const tunnel = new Tunnel();
  const session = sessions.open(introductionOf(context.requestHeader), tunnel);
  const intake = takeAll(tunnel, messages);
  try {
    for await (const data of tunnel.outgoing()) yield { data: new Uint8Array(data) };
    await intake;
  } finally {
    session.destroy();
    tunnel.destroy();
  }
}

function introductionOf(headers: Headers): SessionIntroduction {
  const methods = headers.get("x-docker-expose-session-grpc-method") ?? "";
  return {
    id: headers.get("x-docker-expose-session-uuid") ?? "",
    sharedKey: headers.get("x-docker-expose-session-sharedkey") ?? "",
    methods: methods
      .split(",")
      .map((each) => each.trim())
      .filter((each) => each !== ""),
  };
}

async function takeAll(tunnel: Tunnel, messages: AsyncIterable<BytesMessage>): Promise<void> {
  try {
    for await (const { data } of messages) await tunnel.receive(data);
    tunnel.push(null);
  } catch (error) {
    tunnel.destroy(error instanceof Error ? error : undefined);
  }
}

/** The connection that the session sees. */
class Tunnel extends Duplex {
  #waiting: { readonly chunk: Buffer; readonly done: () => void }[] = [];
  #outgoing = Promise.withResolvers<undefined>();
  #wanted = Promise.withResolvers<undefined>();
  #ended = false;

  /** Bytes of the client; resolves when there is room for more. */
  async receive(bytes: Uint8Array): Promise<void> {
    if (this.destroyed || this.push(bytes)) return;
    this.#wanted = Promise.withResolvers();
    await this.#wanted.promise;
  }

  /** Bytes for the client, as they come. */
  async *outgoing(): AsyncGenerator<Buffer> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        for (let at = 0; at < next.chunk.length; at += maxChunkBytes) {
          yield next.chunk.subarray(at, at + maxChunkBytes);
        }
        next.done();
      } else if (this.#ended) return;
      else {
        this.#outgoing = Promise.withResolvers();
        await this.#outgoing.promise;
      }
    }
  }

  override _read(): void {
    this.#wanted.resolve(undefined);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#waiting.push({ chunk, done });
    this.#outgoing.resolve(undefined);
  }

  override _final(done: () => void): void {
    this.#end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#end();
    this.#wanted.resolve(undefined);
    done(error);
  }

  #end(): void {
    this.#ended = true;
    this.#outgoing.resolve(undefined);
  }
}
