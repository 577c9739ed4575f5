/** The gateway's calls about files of a result. */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
} from "node:fs";
import path from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { resourceExhausted } from "@gantry/errors";
import { gateway, type StatSchema } from "@gantry/proto/buildkit";
import { MissingSource } from "../../domain/build-failure.ts";
import type { FileWork } from "../../ports/file-work.ts";
import { goModeOf } from "../session/file-mode.ts";
import { codes, WireFailure } from "../wire/failure.ts";

/** What one answer may carry; clients take no more. */
const maxReadBytes = 16 * 1024 * 1024 - 4096;

/** Folder of a result. Throws not_found. */
export type RootOf = (ref: string, context: HandlerContext) => Promise<string>;

/** Registers them. */
export function registerFiles(
  router: ConnectRouter,
  files: Pick<FileWork, "find">,
  translated: <I, O>(
    handler: (request: I, context: HandlerContext) => Promise<O>,
  ) => (request: I, context: HandlerContext) => Promise<O>,
  rootOf: RootOf,
): void {
  const { method } = gateway.LLBBridge;
  router.rpc(
    method.readFile,
    translated(async ({ ref, filePath, range }: gateway.ReadFileRequest, context) => {
      const place = found(files, await rootOf(ref, context), filePath, "open");
      const offset = Number(range?.offset ?? 0n);
      const length = range && Number(range.length);
      return { data: read({ name: filePath, place }, offset, length) };
    }),
  );
  router.rpc(
    method.statFile,
    translated(async ({ ref, path: name }: gateway.StatFileRequest, context) => {
      const place = found(files, await rootOf(ref, context), name, "lstat");
      return { stat: statMessage(path.posix.basename(name), lstatSync(place, { bigint: true })) };
    }),
  );
}

/** Real path. Links never lead out of the result. */
function found({ find }: Pick<FileWork, "find">, root: string, name: string, call: string): string {
  try {
    return find(root, name);
  } catch (error) {
    if (!(error instanceof MissingSource)) throw error;
    const text = `${call} ${name}: no such file or directory`;
    throw new WireFailure(codes.unknown, text, [], error);
  }
}

/** @param length undefined: to the end */
function read(
  { name, place }: { readonly name: string; readonly place: string },
  offset: number,
  length: number | undefined,
): Uint8Array<ArrayBuffer> {
  // A pipe must not be waited for.
  const fd = openSync(place, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) {
      const what = stat.isDirectory() ? "is a directory" : "is no regular file";
      throw new WireFailure(codes.unknown, `read ${name}: ${what}`);
    }
    const wanted = Math.max(0, Math.min(length ?? Number.POSITIVE_INFINITY, stat.size - offset));
    if (wanted > maxReadBytes) throw resourceExhausted(`${name} has more than an answer may carry`);
    const bytes = new Uint8Array(wanted);
    return bytes.subarray(0, readSync(fd, bytes, 0, wanted, offset));
  } finally {
    closeSync(fd);
  }
}

function statMessage(name: string, stat: BigIntStats): MessageInitShape<typeof StatSchema> {
  return {
    path: name,
    mode: goModeOf(Number(stat.mode)),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: stat.isDirectory() ? 0n : stat.size,
    modTime: stat.mtimeNs,
  };
}
