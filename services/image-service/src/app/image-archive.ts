/** Reads the files of an extracted image archive: nothing in it is trusted, links least of all. */
import { type FileHandle, lstat, open, realpath } from "node:fs/promises";
import path from "node:path";
import { hasErrno, invalidArgument } from "@gantry/errors";
import { isInside } from "@gantry/fs";
import {
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestHex,
  list,
  maxConfigBytes,
  object,
  parseDocument,
  scanJson,
  string,
} from "@gantry/oci";
import { type GoType, goMismatch, goTypes } from "../domain/go-json.ts";

/** An entry of docker-archive's manifest.json. */
export interface ArchivedImage {
  readonly Config?: string;
  readonly RepoTags?: readonly string[];
  readonly Layers?: readonly string[];
}

/** Most entries of manifest.json. */
const maxArchivedImages = 1024;

const archivedImages = list(
  object({}, { Config: string, Layers: list(string), RepoTags: list(string) }),
);

/** An extracted archive. */
export class ImageArchive {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Path of a regular file of the archive, links followed inside it; undefined when it is not there. */
  async find(name: string): Promise<string | undefined> {
    try {
      const root = await realpath(this.#root);
      const found = await realpath(path.join(root, name));
      if (!isInside(root, found)) throw invalidArgument(`invalid archive: ${name} leads outside`);
      if (!(await lstat(found)).isFile())
        throw invalidArgument(`invalid archive: ${name} is no file`);
      return found;
    } catch (error) {
      if (hasErrno(error, "ENOENT") || hasErrno(error, "ENOTDIR")) return undefined;
      if (hasErrno(error, "ELOOP") || hasErrno(error, "ENAMETOOLONG")) {
        throw invalidArgument(`invalid archive: ${name} cannot be read`, { cause: error });
      }
      throw error;
    }
  }

  /** As find, but the file must be there. */
  async require(name: string): Promise<string> {
    const found = await this.find(name);
    if (found === undefined) throw invalidArgument(`invalid archive: ${name} is missing`);
    return found;
  }

  findBlob(digest: Digest): Promise<string | undefined> {
    return this.find(`blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`);
  }

  /** The bytes of a small file. */
  async read(name: string, limitBytes: number): Promise<Buffer | undefined> {
    const file = await this.find(name);
    if (file === undefined) return undefined;
    await using handle = await open(file, "r");
    return await readBounded(handle, name, limitBytes);
  }

  /** manifest.json of the docker-archive form. */
  async images(): Promise<readonly ArchivedImage[] | undefined> {
    const bytes = await this.read("manifest.json", maxConfigBytes);
    if (bytes === undefined) return undefined;
    const doing = 'untar manifest "manifest.json"';
    const value = decoded(bytes, { doing, type: goTypes.archivedImages, limit: maxConfigBytes });
    if (value === null) return undefined;
    const images = archivedImages(
      (value as unknown[]).map((each) => each ?? {}),
      "manifest.json",
    );
    if (images.length > maxArchivedImages) {
      throw invalidArgument(`manifest.json: holds more than ${maxArchivedImages} entries`);
    }
    return images;
  }
}

/**
 * The first JSON value of an archive's file; what follows it is passed over, as Docker does. Throws
 * invalid_argument: what was done, and Go's words for what is wrong.
 */
export function decoded(
  bytes: Buffer,
  { doing, type, limit }: { readonly doing: string; readonly type: GoType; readonly limit: number },
): unknown {
  if (bytes.length > limit) return parseDocument(bytes, doing, limit);
  const { end, problem } = scanJson(bytes.toString());
  if (problem !== undefined) throw invalidArgument(`${doing}: ${problem}`);
  const value = parseDocument(Buffer.from(bytes.toString().slice(0, end)), doing, limit);
  const mismatch = goMismatch(value, type);
  if (mismatch !== undefined) throw invalidArgument(`${doing}: ${mismatch}`);
  return value;
}

async function readBounded(handle: FileHandle, name: string, limit: number): Promise<Buffer> {
  const { size } = await handle.stat();
  if (size > limit) throw invalidArgument(`invalid archive: ${name} is larger than ${limit} bytes`);
  return await handle.readFile();
}

/** Name that an OCI layout's index gives a manifest, canonical or not; undefined for none. */
export function archivedName(descriptor: Descriptor): string | undefined {
  const full = descriptor.annotations?.["io.containerd.image.name"];
  if (full !== undefined && full !== "") return full;
  const short = descriptor.annotations?.["org.opencontainers.image.ref.name"];
  // A bare tag names nothing without its repository.
  return short !== undefined && /[/:]/.test(short) ? short : undefined;
}
