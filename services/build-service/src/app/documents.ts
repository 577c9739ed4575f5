/** Documents of an export: manifests, configs, attestations. They are named at once, and written together. */
import { sha256Digest } from "@gantry/oci";
import type { WrittenBlob } from "../ports/build.ts";
import type { Layers } from "../ports/layers.ts";

/** An export's blobs are kept so long when nobody stores an image of them. */
const leaseMs = 3600 * 1000;

export class Documents {
  readonly #documents = new Map<
    string,
    { readonly blob: WrittenBlob; readonly bytes: Uint8Array }
  >();

  /** What the document is called once it is written. */
  add(mediaType: string, document: object): WrittenBlob {
    return this.addBytes(mediaType, Buffer.from(JSON.stringify(document)));
  }

  addBytes(mediaType: string, bytes: Uint8Array): WrittenBlob {
    const blob = { mediaType, digest: sha256Digest(bytes), sizeBytes: bytes.length };
    this.#documents.set(blob.digest, { blob, bytes });
    return blob;
  }

  /** The bytes of a document that was added. */
  bytesOf({ digest }: WrittenBlob): Uint8Array {
    const document = this.#documents.get(digest);
    if (document === undefined) throw new RangeError(`no document ${digest}`);
    return document.bytes;
  }

  /** All, in the order in which they came. */
  get blobs(): WrittenBlob[] {
    return [...this.#documents.values()].map(({ blob }) => blob);
  }

  /** Writes all. A lease keeps them, and others with them. */
  async write(
    layers: Pick<Layers, "writeBlobs">,
    others: readonly WrittenBlob[],
    leaseOwner: string,
  ): Promise<void> {
    const kept = others.map(({ digest }) => digest);
    const bytes = [...this.#documents.values()].map((each) => each.bytes);
    await layers.writeBlobs(bytes, { owner: leaseOwner, blobs: kept, ttlMs: leaseMs });
  }
}
