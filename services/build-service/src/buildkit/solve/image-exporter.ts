/** Images: kept by the engine, pushed to registries, or both. */
import { invalidArgument } from "@gantry/errors";
import { hostPlatform, samePlatform } from "@gantry/oci";
import type { BuildResult, ImageExport, StoredImage } from "../../ports/build.ts";
import type { OwnVertex } from "../progress/own-vertex.ts";
import { codes, toWireFailure, WireFailure } from "../wire/failure.ts";
import {
  type ExportContext,
  type ExporterRequest,
  type ExporterResponse,
  eachPlatformOnce,
  exportVertex,
} from "./export-context.ts";
import { type ImageAttributes, readImageAttributes } from "./image-attributes.ts";
import { imageOptions, imageResponse } from "./image-form.ts";
import { hasTag, type ImageNaming, imageNaming, repository, taggedName } from "./image-names.ts";

/** Makes an image of a result. */
export async function exportImage(
  context: ExportContext,
  request: ExporterRequest,
): Promise<ExporterResponse> {
  const attributes = readImageAttributes(request.attrs);
  const naming = imageNaming(request, attributes);
  return await exportVertex(context, "exporting to image", async (vertex) => {
    const form = { ...attributes, oci: attributes.oci ?? false };
    const options = imageOptions(context, naming.tagged, form, vertex);
    const result = eachPlatformOnce(context, vertex);
    await using made = await makeImage(context, result, options, { attributes, naming });
    const { image, isStored } = made;
    const names = shownNames(naming, image);
    if (isStored) tellOfNames(names, image, { attributes, naming, vertex });
    if (attributes.push) {
      await push(context, naming.names, image, { attributes, isStored, vertex });
    }
    return imageResponse(image, names);
  });
}

interface Made extends AsyncDisposable {
  readonly image: StoredImage;
  readonly isStored: boolean;
}

/** An image that is not to be kept, or that nothing could find again, is there until it is disposed. */
async function makeImage(
  { builder, signal }: ExportContext,
  result: Pick<BuildResult, "platforms">,
  options: ImageExport,
  how: { readonly attributes: ImageAttributes; readonly naming: ImageNaming },
): Promise<Made> {
  const { names, byDigest, prefix } = how.naming;
  const isStored = how.attributes.store && (names.length > 0 || prefix !== "");
  if (!isStored) {
    const exported = await builder.exportBlobs(result, options, signal);
    const { image } = exported;
    return { image, isStored, [Symbol.asyncDispose]: () => exported[Symbol.asyncDispose]() };
  }
  const named = { ...options, digestNames: byDigest };
  const image = await builder.exportImage(result, named, signal);
  return { image, isStored, [Symbol.asyncDispose]: () => Promise.resolve() };
}

function shownNames({ names, prefix }: ImageNaming, { digest }: StoredImage): readonly string[] {
  return names.length === 0 && prefix !== "" ? [`${prefix}@${digest}`] : names;
}

function tellOfNames(
  names: readonly string[],
  { digest, manifests }: StoredImage,
  how: {
    readonly attributes: ImageAttributes;
    readonly naming: ImageNaming;
    readonly vertex: OwnVertex;
  },
): void {
  const { attributes, naming, vertex } = how;
  // An image is kept unpacked in any case.
  const isUnpacked = attributes.unpack && manifests.some(isOfHost);
  const suffix = attributes.nameCanonical && naming.names.length > 0 ? `@${digest}` : "";
  for (const name of names) {
    vertex.begin(`naming to ${name}`, "")();
    if (isUnpacked) vertex.begin(`unpacking to ${name}${suffix}`, "")();
  }
}

function isOfHost({ platform, layers }: StoredImage["manifests"][number]): boolean {
  return layers.length > 0 && samePlatform(platform, hostPlatform());
}

async function push(
  context: ExportContext,
  names: readonly string[],
  image: StoredImage,
  how: {
    readonly attributes: ImageAttributes;
    readonly isStored: boolean;
    readonly vertex: OwnVertex;
  },
): Promise<void> {
  if (names.length === 0) throw invalidArgument("tag is needed when pushing to registry");
  for (const name of names) {
    try {
      await pushOne(context, name, image, how);
    } catch (error) {
      const { code, message, failureDetails } = toWireFailure(error);
      throw new WireFailure(code, `failed to push ${name}: ${message}`, failureDetails, error);
    }
  }
}

async function pushOne(
  { pusher, session, signal }: ExportContext,
  name: string,
  { mediaType, digest, sizeBytes }: StoredImage,
  how: Parameters<typeof push>[3],
): Promise<void> {
  const { attributes, isStored, vertex } = how;
  const { pushByDigest: byDigest, insecure } = attributes;
  if (byDigest && hasTag(name)) {
    throw new WireFailure(codes.unknown, `can't push tagged ref ${name} by digest`);
  }
  const from = await session();
  const target = isStored && !byDigest ? undefined : { mediaType, digest, sizeBytes };
  const layersPushed = vertex.begin("pushing layers", "");
  try {
    await pusher.push(name, { session: from, vertex, target, byDigest, insecure, signal });
  } finally {
    layersPushed();
  }
  const told = byDigest ? repository(name) : `${taggedName(name)}@${digest}`;
  vertex.begin(`pushing manifest for ${told}`, "")();
}
