/** One file, written at a client. */
import { create, toBinary } from "@bufbuild/protobuf";
import { hasKind } from "@gantry/errors";
import { BytesMessageSchema, FileSend } from "@gantry/proto/buildkit";
import type { ClientCall } from "../wire/client-call.ts";
import { methodPathOf } from "../wire/client-connection.ts";
import type { TransferProgress } from "./receive-tree.ts";
import { type SentFolder, sendTree } from "./send-tree.ts";
import type { Session } from "./session.ts";

/** Bytes in one message: clients refuse more than 4 MiB. */
const maxMessageBytes = 1024 * 1024;

/** Which exporter's target is meant, and what the client is told with it. */
export interface SendOptions {
  /** Index of the exporter. */
  readonly exporter: number;
  /** Told to clients with the file, as `exporter-md-<key>`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Sends the bytes of one file. A client that has the file already refuses it, which is no error. */
export async function sendFile(
  session: Session,
  bytes: AsyncIterable<Uint8Array>,
  options: SendOptions,
): Promise<void> {
  const call = openCall(session, options);
  const answered = call.receive(() => undefined);
  const sent = sendBytes(call, bytes);
  try {
    await Promise.all([answered, sent]);
  } catch (error) {
    if (!hasKind(error, "already_exists")) throw error;
  }
}

/** Sends folders, to be merged into the client's. */
export async function sendFolders(
  session: Session,
  folders: readonly SentFolder[],
  options: SendOptions & { readonly onProgress: TransferProgress },
): Promise<void> {
  await sendTree(openCall(session, options), folders, options.onProgress);
}

function openCall(session: Session, options: SendOptions): ClientCall {
  const metadata = Object.entries(options.metadata).map(
    ([key, value]) => [`exporter-md-${key}`, value] as const,
  );
  return session.connection.open(methodPathOf(FileSend.method.diffCopy), {
    metadata: {
      "buildkit-attachable-exporter-id": String(options.exporter),
      ...Object.fromEntries(metadata),
    },
    signal: options.signal,
  });
}

async function sendBytes(call: ClientCall, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length; at += maxMessageBytes) {
        const data = new Uint8Array(chunk.subarray(at, at + maxMessageBytes));
        await call.write(toBinary(BytesMessageSchema, create(BytesMessageSchema, { data })));
      }
      if (call.isClosed) return;
    }
    call.end();
  } catch (error) {
    call.fail(error);
    throw error;
  }
}
