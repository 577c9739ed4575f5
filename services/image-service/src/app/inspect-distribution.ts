/** `GET /distribution/{name}/json`: what a registry has behind a name. */

import { EngineError, internal, invalidArgument, unauthenticated } from "@gantry/errors";
import type { Digest, Manifest } from "@gantry/oci";
import {
  configPlatform,
  type Descriptor,
  maxConfigBytes,
  type Platform,
  parseImageConfig,
  parseManifestOrIndex,
  parseReference,
  withDefaultTag,
} from "@gantry/oci";
import type { Credential, Registries, Repository } from "../ports/registry.ts";
import { explainRefusal } from "./pull-errors.ts";

export interface Distribution {
  readonly descriptor: Descriptor;
  readonly platforms: readonly Platform[];
}

/** No registry knows images by them alone. */
const fullImageId = /^(?:sha256:)?[0-9a-f]{64}$/;

export async function inspectDistribution(
  registries: Registries,
  text: string,
  credential: Credential | undefined,
  signal: AbortSignal,
): Promise<Distribution> {
  if (fullImageId.test(text)) throw internal("no manifest found for full image ID");
  const reference = withDefaultTag(parseReference(text));
  const repository = registries.repository(reference, "pull", credential);
  try {
    const remote = await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal);
    const document = parseManifestOrIndex(remote.bytes, remote.mediaType);
    const mediaType = remote.mediaType || document.mediaType || "";
    const descriptor: Descriptor = { mediaType, digest: remote.digest, size: remote.bytes.length };
    if (document.kind === "index") {
      return {
        descriptor,
        platforms: document.manifests.flatMap(({ platform }) => platform ?? []),
      };
    }
    return { descriptor, platforms: [await platformOf(repository, document, signal)] };
  } catch (error) {
    // Here Docker lets the client ask for a password.
    if (error instanceof EngineError && error.kind === "unauthenticated") {
      throw unauthenticated(error.message, { cause: error });
    }
    throw explainRefusal(error, reference);
  }
}

async function platformOf(
  repository: Repository,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<Platform> {
  const bytes = await readSmall(repository, manifest.config.digest, signal);
  return configPlatform(parseImageConfig(bytes));
}

async function readSmall(
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (await repository.blob(digest, 0, signal)).bytes) {
    size += chunk.length;
    if (size > maxConfigBytes)
      throw invalidArgument(`image config is larger than ${maxConfigBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
