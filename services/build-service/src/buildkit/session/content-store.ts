/** A content store that a client lends: a folder of blobs by digest. */
import { createHash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { hasKind, invalidArgument } from "@gantry/errors";
import { content } from "@gantry/proto/buildkit";
import { methodPathOf } from "../wire/client-connection.ts";
import type { Session } from "./session.ts";

/** Clients refuse messages of more than 4 MiB. */
const maxMessageBytes = 1024 * 1024;

/** Blobs that fit between what a client may send and what we have read of it. */
const maxWaitingChunks = 4;

/** A client's store. Errors are the client's. */
export class ClientStore {
  readonly #session: Session;
  readonly #metadata: Readonly<Record<string, string>>;

  /** @param id as the client calls it: `local:<folder>` */
  constructor(session: Session, id: string) {
    this.#session = session;
    this.#metadata = { "buildkit-attachable-store-id": id };
  }

  /** Throws not_found, and invalid_argument for bytes that have another digest. */
  async *read(digest: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { read } = content.Content.method;
    const call = this.#session.connection.open(methodPathOf(read), {
      metadata: this.#metadata,
      signal,
    });
    const request = create(content.ReadContentRequestSchema, { digest });
    await call.write(toBinary(content.ReadContentRequestSchema, request));
    call.end();
    const waiting = new Waiting();
    const received = call
      .receive((message) =>
        waiting.put(fromBinary(content.ReadContentResponseSchema, message).data),
      )
      .then(
        () => {
          waiting.end(undefined);
        },
        (error: unknown) => {
          waiting.end({ error });
        },
      );
    try {
      const hash = createHash("sha256");
      for await (const data of waiting) {
        hash.update(data);
        yield data;
      }
      const actual = `sha256:${hash.digest("hex")}`;
      if (actual !== digest) throw invalidArgument(`client sent ${actual} for ${digest}`);
    } finally {
      call.cancel();
      waiting.end(undefined);
      await received;
    }
  }

  /** Writes a blob; one that is there already is left. */
  async write(
    { digest, sizeBytes }: { readonly digest: string; readonly sizeBytes: number },
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    if (await this.#has(digest, signal)) return;
    const { write } = content.Content.method;
    const call = this.#session.connection.open(methodPathOf(write), {
      metadata: this.#metadata,
      signal,
    });
    const answered = call.receive(() => undefined);
    const sending = send();
    try {
      await Promise.all([answered, sending]);
    } catch (error) {
      if (!hasKind(error, "already_exists")) throw error;
    }

    async function send(): Promise<void> {
      const head = { ref: `gantry-${digest}`, total: BigInt(sizeBytes), expected: digest };
      const put = (message: {
        readonly action: content.WriteAction;
        readonly offset: bigint;
        readonly data: Uint8Array;
      }) => {
        const request = create(content.WriteContentRequestSchema, { ...head, ...message });
        return call.write(toBinary(content.WriteContentRequestSchema, request));
      };
      try {
        let offset = 0n;
        for await (const chunk of bytes) {
          for (let at = 0; at < chunk.length; at += maxMessageBytes) {
            const data = new Uint8Array(chunk.subarray(at, at + maxMessageBytes));
            await put({ action: content.WriteAction.WRITE, offset, data });
            offset += BigInt(data.length);
          }
          if (call.isClosed) return;
        }
        await put({ action: content.WriteAction.COMMIT, offset, data: new Uint8Array() });
        call.end();
      } catch (error) {
        call.fail(error);
        throw error;
      }
    }
  }

  async #has(digest: string, signal: AbortSignal): Promise<boolean> {
    const options = { metadata: this.#metadata, signal };
    try {
      await this.#session.connection.unary(content.Content.method.info, { digest }, options);
      return true;
    } catch (error) {
      if (hasKind(error, "not_found")) return false;
      throw error;
    }
  }
}

/** Chunks between a call and their reader, which holds the call back. */
class Waiting {
  readonly #chunks: Uint8Array[] = [];
  #end: { readonly failure: { readonly error: unknown } | undefined } | undefined;
  #arrived = Promise.withResolvers<undefined>();
  #taken = Promise.withResolvers<undefined>();

  put(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#end !== undefined) return undefined;
    this.#chunks.push(chunk);
    this.#arrived.resolve(undefined);
    return this.#chunks.length < maxWaitingChunks ? undefined : this.#taken.promise;
  }

  /** @param failure what the reader is to throw */
  end(failure: { readonly error: unknown } | undefined): void {
    this.#end ??= { failure };
    this.#arrived.resolve(undefined);
    this.#taken.resolve(undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#taken.resolve(undefined);
        this.#taken = Promise.withResolvers();
        yield chunk;
      } else if (this.#end !== undefined) {
        if (this.#end.failure !== undefined) throw this.#end.failure.error;
        return;
      } else {
        await this.#arrived.promise;
        this.#arrived = Promise.withResolvers();
      }
    }
  }
}
