/** Content digests: `sha256:<64 hex>` and `sha512:<128 hex>` of the OCI image-spec's descriptor.md. */
import { createHash } from "node:crypto";
import { invalidArgument } from "@gantry/errors";

declare const digestBrand: unique symbol;

/** A well-formed digest of an algorithm that we can compute. */
export type Digest = string & { readonly [digestBrand]: true };

const hexLengths: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };

/** Whether a text is a digest that we can verify. */
export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(":");
  const length = Object.hasOwn(hexLengths, text.slice(0, colon))
    ? hexLengths[text.slice(0, colon)]
    : undefined;
  return length !== undefined && text.length === colon + 1 + length && isLowerHex(text, colon + 1);
}

function isLowerHex(text: string, from: number): boolean {
  for (let index = from; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false;
  }
  return true;
}

/** A text as a digest. Throws invalid_argument. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw invalidArgument(`invalid digest ${JSON.stringify(clip(text))}`);
  return text;
}

function clip(text: string): string {
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

/** `sha256` of `sha256:abc…`. */
export function digestAlgorithm(digest: Digest): string {
  return digest.slice(0, digest.indexOf(":"));
}

/** The hexadecimal part. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** The first 12 hexadecimal digits: how Docker shows layers and images. */
export function shortDigest(digest: string): string {
  const colon = digest.indexOf(":");
  return digest.slice(colon + 1, colon + 13);
}

/** The sha256 digest of some bytes. */
export function sha256Digest(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}

/**
 * Chain IDs of a list of diff IDs, lowest layer first (image-spec config.md, "Layer ChainID"): the
 * n-th names the file system that the first n layers make.
 */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : sha256Digest(`${parent} ${diffId}`));
  }
  return chain;
}
