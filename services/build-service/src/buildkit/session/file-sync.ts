/** Reading directories of a client. */
import { EngineError, hasKind } from "@gantry/errors";
import { FileSync } from "@gantry/proto/buildkit";
import { type CallMetadata, methodPathOf } from "../wire/client-connection.ts";
import { MemoryTree } from "./memory-tree.ts";
import { receiveTree, type TransferProgress, type TreeTarget } from "./receive-tree.ts";
import type { Session } from "./session.ts";

/** What is wanted of a directory. */
export interface SyncRequest {
  /** Name that the client gave the directory: `context`, `dockerfile`, … */
  readonly directory: string;
  /** Paths and patterns, links in them followed by the client; empty: everything. */
  readonly followPaths: readonly string[];
  readonly excludePatterns: readonly string[];
}

const method = methodPathOf(FileSync.method.diffCopy);

/** Brings a directory's entries to a target. */
export async function syncDirectory(
  session: Session,
  request: SyncRequest,
  target: TreeTarget,
  options: { readonly onProgress: TransferProgress; readonly signal: AbortSignal },
): Promise<void> {
  const call = session.connection.open(method, {
    metadata: metadataOf(request),
    signal: options.signal,
  });
  await receiveTree(call, target, options.onProgress).catch((error: unknown) => {
    if (!hasKind(error, "internal") || !(error instanceof Error)) throw error;
    // As Go shows what a peer answers.
    const message = `rpc error: code = Unknown desc = ${error.message}`;
    throw new EngineError("internal", message, { cause: error });
  });
}

/** Reads a few small files. Those that don't exist are not in it. */
export async function readFiles(
  session: Session,
  directory: string,
  names: readonly string[],
  options: { readonly onProgress: TransferProgress; readonly signal: AbortSignal },
): Promise<MemoryTree> {
  const tree = new MemoryTree();
  const request = { directory, followPaths: names, excludePatterns: [] };
  await syncDirectory(session, request, tree, options);
  return tree;
}

function metadataOf(request: SyncRequest): CallMetadata {
  return {
    ...encoded("dir-name", [request.directory]),
    ...encoded("followpaths", request.followPaths),
    ...encoded("exclude-patterns", request.excludePatterns),
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what a header can hold is defined by them.
const printable = /^[\x20-\x7e]*$/;

/** Values of a key; if one of them doesn't fit in a header, all are escaped. */
function encoded(key: string, values: readonly string[]): CallMetadata {
  if (values.length === 0) return {};
  // A header's value loses spaces at its ends.
  if (values.every((each) => printable.test(each) && each.trim() === each))
    return { [key]: values };
  return {
    [key]: values.map((each) => encodeURIComponent(each)),
    [`${key}-encoded`]: "1",
  };
}
