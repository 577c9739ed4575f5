/** Manifests of what is attested of an image: in-toto statements in place of layers. */
import { mediaTypes } from "@gantry/oci";
import type { ExportedManifest, ImageExport, WrittenBlob } from "../ports/build.ts";
import type { Documents } from "./documents.ts";

const inTotoType = "application/vnd.in-toto+json";
const emptyType = "application/vnd.oci.empty.v1+json";
const artifactType = "application/vnd.docker.attestation.manifest.v1+json";

/** Adds the manifest. @returns the index's entry of it */
export function addAttestations(
  manifest: ExportedManifest,
  options: ImageExport,
  documents: Documents,
): object {
  const layers = (options.attestations?.(manifest) ?? []).map(({ predicateType, statement }) => {
    const { digest, sizeBytes } = documents.addBytes(inTotoType, statement);
    const annotations = { "in-toto.io/predicate-type": predicateType };
    return { mediaType: inTotoType, digest, size: sizeBytes, annotations };
  });
  const isArtifact = options.artifacts === true;
  const written = documents.add(mediaTypes.ociManifest, {
    ...{ schemaVersion: 2, mediaType: mediaTypes.ociManifest },
    ...(isArtifact && { artifactType }),
    config: isArtifact ? emptyConfig(documents) : configLikeImages(layers, documents),
    layers,
    ...(isArtifact && { subject: descriptorOf(manifest) }),
  });
  options.onStep(`exporting attestation manifest ${written.digest}`, true);
  return {
    ...descriptorOf(written),
    annotations: {
      "vnd.docker.reference.digest": manifest.digest,
      "vnd.docker.reference.type": "attestation-manifest",
    },
    platform: unknown,
  };
}

const unknown = { architecture: "unknown", os: "unknown" };

/** For registries that know of nothing but images. */
function configLikeImages(
  layers: readonly { readonly digest: string }[],
  documents: Documents,
): object {
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  return descriptorOf(documents.add(mediaTypes.ociConfig, { ...unknown, config: {}, rootfs }));
}

function emptyConfig(documents: Documents): object {
  const bytes = Buffer.from("{}");
  return {
    ...descriptorOf(documents.addBytes(emptyType, bytes)),
    data: bytes.toString("base64"),
  };
}

function descriptorOf({ mediaType, digest, sizeBytes }: WrittenBlob): object {
  return { mediaType, digest, size: sizeBytes };
}
