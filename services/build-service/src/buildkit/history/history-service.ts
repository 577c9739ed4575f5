/** The control service's calls about builds that have ended, and the store that their files are read from. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import {
  content,
  type StatusResponse,
  StatusResponseSchema,
  type UpdateBuildHistoryRequest,
} from "@gantry/proto/buildkit";
import { toConnectError } from "../wire/server.ts";
import type { BuildHistory } from "./build-history.ts";

/** Bytes of one message; clients refuse more than 4 MiB. */
const chunkBytes = 1024 * 1024;

/** Registers the store. What it has can be read, and nothing else. */
export function registerContent(router: ConnectRouter, history: BuildHistory): void {
  const { method } = content.Content;
  router.rpc(method.info, async ({ digest }) => {
    const { length } = await readable(history, digest);
    return { info: { digest, size: BigInt(length) } };
  });
  router.rpc(method.read, (request) => read(history, request));
}

/** Pins, or forgets. */
export async function updateHistory(
  history: BuildHistory,
  { ref, delete: isDeleted, finalize, pinned }: UpdateBuildHistoryRequest,
): Promise<Record<string, never>> {
  if (isDeleted) await history.delete(ref);
  // A record is whole as soon as there is one.
  else if (!finalize) await history.pin(ref, pinned);
  return {};
}

/** What a build told; undefined: none is remembered. */
export async function* pastStatus(
  history: BuildHistory,
  digest: string,
): AsyncGenerator<StatusResponse> {
  const bytes = Buffer.from(await history.read(digest));
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32LE(at);
    yield fromBinary(StatusResponseSchema, bytes.subarray(at + 4, end));
    at = end;
  }
}

async function* read(
  history: BuildHistory,
  { digest, offset, size }: content.ReadContentRequest,
): AsyncGenerator<MessageInitShape<typeof content.ReadContentResponseSchema>> {
  const bytes = await readable(history, digest);
  const end = size === 0n ? bytes.length : Math.min(bytes.length, Number(offset + size));
  for (let at = Number(offset); at < end; at += chunkBytes) {
    const data = bytes.subarray(at, Math.min(end, at + chunkBytes));
    yield { offset: BigInt(at), data };
  }
}

async function readable(history: BuildHistory, digest: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await history.read(digest);
  } catch (error) {
    throw toConnectError(error);
  }
}
