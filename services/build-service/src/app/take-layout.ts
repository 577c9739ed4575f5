/** An image in a layout of the client's, taken over for one build. */
import { invalidArgument, notFound } from "@gantry/errors";
import {
  type Manifest,
  maxManifestBytes,
  type Platform,
  parseManifestOrIndex,
  platformDistance,
} from "@gantry/oci";
import type { LayoutImage } from "../ports/build-inputs.ts";
import type { BaseImage } from "../ports/layers.ts";
import type { BuilderParts } from "./builder-parts.ts";

/** Brings the manifest for a platform with its blobs, kept by a lease. Throws not_found, invalid_argument. */
export async function takeLayout(
  parts: BuilderParts,
  image: LayoutImage & { readonly reference: string; readonly platform: Platform },
  leaseOwner: string,
  signal: AbortSignal,
): Promise<BaseImage> {
  const { reference, platform } = image;
  const { digest, manifest } = await manifestFor(image, signal);
  const bring = async (each: string): Promise<void> => {
    if (await parts.layers.hasBlob(each, leaseOwner)) return;
    await parts.layers.copyBlob(each, image.read(each, signal), leaseOwner, signal);
  };
  for (const each of [digest, manifest.config.digest, ...manifest.layers.map((l) => l.digest)])
    await bring(each);
  const unpacked = await parts.layers.unpack(digest, leaseOwner, signal);
  const { document, layers, chain } = unpacked;
  parts.knowLayers(unpacked);
  return { id: digest, reference, platform, document, layers, chainId: chain.at(-1) ?? "" };
}

async function manifestFor(
  image: LayoutImage & { readonly reference: string; readonly platform: Platform },
  signal: AbortSignal,
): Promise<{ readonly digest: string; readonly manifest: Manifest }> {
  const read = async (digest: string) =>
    parseManifestOrIndex(await wholeBlob(image, digest, signal), "");
  const top = await read(image.digest);
  if (top.kind === "manifest") return { digest: image.digest, manifest: top };
  const candidates = top.manifests.flatMap((each) => {
    const distance = each.platform && platformDistance(image.platform, each.platform);
    return distance === undefined ? [] : [{ digest: each.digest, distance }];
  });
  const [best] = candidates.toSorted((a, b) => a.distance - b.distance);
  if (best === undefined)
    throw notFound("image", image.reference, "no match for platform in manifest: not found");
  const manifest = await read(best.digest);
  if (manifest.kind === "manifest") return { digest: best.digest, manifest };
  throw invalidArgument(`${image.reference}: ${best.digest} is no manifest`);
}

async function wholeBlob(image: LayoutImage, digest: string, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of image.read(digest, signal)) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxManifestBytes) throw invalidArgument(`manifest ${digest} is too large`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
