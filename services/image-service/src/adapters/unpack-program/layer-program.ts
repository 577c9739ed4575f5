/** The LayerProgram port over native/'s unpack program. */
import { type FileHandle, open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { hasErrno, internal } from "@gantry/errors";
import { parseDigest } from "@gantry/oci";
import type { Ingest } from "../../ports/content.ts";
import type {
  ChangedPath,
  LayerProgram,
  LayerSource,
  PackedLayer,
  UnpackedLayer,
  UnpackLimits,
} from "../../ports/layers.ts";
import type { MergeLayers } from "./merged-view.ts";
import type { ReportLine, RunProgram } from "./run-program.ts";

/** Bytes read at once from a growing file. */
const chunkBytes = 512 * 1024;

/** Opens the port. */
export function createLayerProgram(runProgram: RunProgram, mergeLayers: MergeLayers): LayerProgram {
  return {
    async unpack({ source, directory, lowers, lowersReady, limits, signal }) {
      const line = await runProgram({
        args: [
          "unpack",
          ...limitArguments(limits),
          ...(lowersReady === undefined ? [] : ["--await-lowers"]),
          "--lowers",
          String(lowers.length),
        ],
        directory,
        lowers,
        lowersReady,
        input: source.kind === "file" ? { file: source.path } : "pipe",
        output: "none",
        signal,
        feed: feedOf(source, signal),
      });
      return unpackedOf(line);
    },

    async extract({ input, directory, limits, signal }) {
      await runProgram({
        args: ["apply", "--path", "/", ...limitArguments(limits)],
        directory,
        lowers: [],
        input: "pipe",
        output: "none",
        signal,
        feed: (stdin) => pump(input, stdin),
      });
    },

    async pack({ directory, files, signal }) {
      const { layer, index, likes } = files;
      const line = await runProgram({
        args: ["pack", "--overlay-upper", "--gzip", "--blocks", String(likes.length)],
        directory,
        lowers: [],
        blocks: { own: index, others: likes.flatMap((like) => [like.index, like.layer]) },
        input: "none",
        output: { file: layer },
        signal,
      });
      return packedOf(line);
    },

    async changes({ upper, lowers, signal }) {
      await using lower = await mergeLayers(lowers);
      const found: ChangedPath[] = [];
      await runProgram({
        args: ["changes", "--lowers", "1"],
        directory: upper,
        lowers: [lower.path],
        input: "none",
        output: "none",
        signal,
        onLine: (line) => {
          found.push({ path: textOf(line, "path"), kind: numberOf(line, "kind") });
        },
      });
      return found;
    },
  };
}

function limitArguments(limits: UnpackLimits): string[] {
  return [
    "--max-bytes",
    String(limits.maxBytes),
    "--max-entries",
    String(limits.maxEntries),
    "--max-ratio",
    String(limits.maxRatio),
  ];
}

function feedOf(
  source: LayerSource,
  signal: AbortSignal,
): ((stdin: Writable) => Promise<void>) | undefined {
  if (source.kind === "file") return undefined;
  return (stdin) => pump(follow(source.ingest, signal), stdin);
}

/**
 * Yields the bytes of a growing file until it is whole, all in one buffer: a piece is valid until the
 * next is asked for. Throws when it was given up.
 */
async function* follow(ingest: Ingest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  await using handle = await openGrowing(ingest);
  const buffer = Buffer.allocUnsafeSlow(chunkBytes);
  let position = 0;
  for (;;) {
    await ingest.grown(position, signal);
    if (ingest.failure !== undefined) throw ingest.failure;
    if (signal.aborted) return;
    if (ingest.offset <= position) return;
    const length = Math.min(chunkBytes, ingest.offset - position);
    const { bytesRead } = await handle.read(buffer, 0, length, position);
    if (bytesRead === 0) throw internal("a growing file became shorter");
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The file may get its final name at any moment. */
async function openGrowing(ingest: Ingest): Promise<FileHandle> {
  try {
    return await open(ingest.path, "r");
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
    await ingest.untilEnd();
    if (ingest.failure !== undefined) throw ingest.failure;
    return open(ingest.path, "r");
  }
}

/** Writes one piece after the other. The program may end before it has read everything: its report says why. */
async function pump(input: AsyncIterable<Uint8Array>, stdin: Writable): Promise<void> {
  let gone = false;
  const closed = new Promise<void>((resolve) => {
    const onEnd = (): void => {
      gone = true;
      resolve();
    };
    stdin.once("error", onEnd);
    stdin.once("close", onEnd);
  });
  for await (const chunk of input) {
    if (gone) break;
    const written = new Promise<void>((resolve) => {
      stdin.write(chunk, () => {
        resolve();
      });
    });
    await Promise.race([written, closed]);
  }
  stdin.end();
}

function textOf(line: ReportLine, key: string): string {
  const value = line[key];
  if (typeof value !== "string") throw internal(`the unpack program's report lacks ${key}`);
  return value;
}

function numberOf(line: ReportLine, key: string): number {
  const value = line[key];
  if (typeof value !== "number") throw internal(`the unpack program's report lacks ${key}`);
  return value;
}

function unpackedOf(line: ReportLine): UnpackedLayer {
  return {
    digest: parseDigest(textOf(line, "digest")),
    diffId: parseDigest(textOf(line, "diffId")),
    compression: textOf(line, "compression"),
    compressedBytes: numberOf(line, "compressedBytes"),
    uncompressedBytes: numberOf(line, "uncompressedBytes"),
    diskBytes: numberOf(line, "diskBytes"),
    entries: numberOf(line, "entries"),
    describesTop: line["top"] === true,
  };
}

function packedOf(line: ReportLine): PackedLayer {
  return {
    digest: parseDigest(textOf(line, "digest")),
    diffId: parseDigest(textOf(line, "diffId")),
    compressedBytes: numberOf(line, "compressedBytes"),
    uncompressedBytes: numberOf(line, "uncompressedBytes"),
  };
}
