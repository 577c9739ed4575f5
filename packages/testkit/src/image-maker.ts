/**
 * Makes small OCI images byte by byte, as archives for `docker load` or straight into a
 * registry, so that tests and benchmarks depend on no engine to make their input.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Header } from "tar-stream";
import { pack } from "tar-stream";

/** One entry of a layer. */
export interface LayerEntry {
  readonly header: Partial<Header> & Pick<Header, "name">;
  readonly content?: Uint8Array | string;
}

/** What an image holds. */
export interface ImageRecipe {
  /** Layers, lowest first: tar bytes. */
  readonly layers: readonly Uint8Array[];
  /** Members of the OCI config's `config` object. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly architecture?: string;
  /** Compress layers. Default true. */
  readonly gzip?: boolean;
}

/** An image in parts. */
export interface MadeImage {
  readonly manifest: Uint8Array;
  readonly manifestDigest: string;
  readonly config: Uint8Array;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  readonly diffIds: readonly string[];
}

/** sha256 digest in OCI form. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Makes the tar of one layer. */
export async function makeLayer(entries: readonly LayerEntry[]): Promise<Uint8Array> {
  const tar = pack();
  const chunks: Buffer[] = [];
  tar.on("data", (chunk) => chunks.push(chunk as Buffer));
  const ended = new Promise<void>((resolve, reject) => {
    tar.on("end", resolve);
    tar.on("error", reject);
  });
  for (const { header, content } of entries) {
    if (content === undefined) tar.entry(header);
    else tar.entry(header, Buffer.from(content));
  }
  tar.finalize();
  await ended;
  return Buffer.concat(chunks);
}

/** Makes manifest, config and blobs. */
export function makeImage(recipe: ImageRecipe): MadeImage {
  const blobs = new Map<string, Uint8Array>();
  const diffIds = recipe.layers.map(digestOf);
  const gzip = recipe.gzip ?? true;
  const layers = recipe.layers.map((tar) => {
    const bytes = gzip ? gzipSync(tar, { level: 1 }) : tar;
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return {
      mediaType: `application/vnd.oci.image.layer.v1.tar${gzip ? "+gzip" : ""}`,
      digest,
      size: bytes.length,
    };
  });
  const config = jsonBytes({
    created: "2026-01-02T03:04:05Z",
    architecture: recipe.architecture ?? (process.arch === "arm64" ? "arm64" : "amd64"),
    os: "linux",
    config: recipe.config ?? {},
    rootfs: { type: "layers", diff_ids: diffIds },
    history: diffIds.map((_, index) => ({
      created: "2026-01-02T03:04:05Z",
      created_by: `layer ${String(index)}`,
    })),
  });
  blobs.set(digestOf(config), config);
  const manifest = jsonBytes({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      digest: digestOf(config),
      size: config.length,
    },
    layers,
  });
  return {
    manifest,
    manifestDigest: digestOf(manifest),
    config,
    blobs,
    diffIds,
  };
}

/** Writes an image into a registry over plain HTTP. */
export async function putImage(
  host: string,
  repository: string,
  tag: string,
  image: MadeImage,
): Promise<void> {
  for (const [digest, bytes] of image.blobs) {
    const begun = await expectStatus(
      fetch(`http://${host}/v2/${repository}/blobs/uploads/`, {
        method: "POST",
      }),
      202,
    );
    const location = new URL(begun.headers.get("location") ?? "", `http://${host}`);
    location.searchParams.set("digest", digest);
    await expectStatus(
      fetch(location, {
        method: "PUT",
        body: bytes as Uint8Array<ArrayBuffer>,
        headers: { "content-type": "application/octet-stream" },
      }),
      201,
    );
  }
  await expectStatus(
    fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
      method: "PUT",
      body: image.manifest as Uint8Array<ArrayBuffer>,
      headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
    }),
    201,
  );
}

/** Makes a docker-archive (`manifest.json` form) of images with their names, for `docker load`. */
export async function makeDockerArchive(
  images: readonly {
    readonly image: MadeImage;
    readonly tags: readonly string[];
  }[],
): Promise<Uint8Array> {
  const entries: LayerEntry[] = [];
  const manifests = images.map(({ image, tags }) => {
    const name = (digest: string): string => `blobs/sha256/${digest.slice("sha256:".length)}`;
    for (const [digest, bytes] of image.blobs)
      entries.push({ header: { name: name(digest) }, content: bytes });
    const manifest = JSON.parse(Buffer.from(image.manifest).toString()) as {
      layers: { digest: string }[];
    };
    return {
      Config: name(digestOf(image.config)),
      RepoTags: tags,
      Layers: manifest.layers.map((layer) => name(layer.digest)),
    };
  });
  entries.push({
    header: { name: "manifest.json" },
    content: JSON.stringify(manifests),
  });
  return await makeLayer(entries);
}

/** Makes an OCI layout of one image for several platforms, for `docker load`. */
export async function makeIndexArchive(
  name: string,
  images: readonly { readonly image: MadeImage; readonly architecture: string }[],
): Promise<Uint8Array> {
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const index = jsonBytes({
    ...{ schemaVersion: 2, mediaType },
    manifests: images.map(({ image, architecture }) => ({
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: image.manifestDigest,
      size: image.manifest.length,
      platform: { os: "linux", architecture },
    })),
  });
  const annotations = { "io.containerd.image.name": name };
  const target = { mediaType, digest: digestOf(index), size: index.length, annotations };
  const blobs = [
    index,
    ...images.flatMap(({ image }) => [image.manifest, ...image.blobs.values()]),
  ];
  return await makeLayer([
    { header: { name: "oci-layout" }, content: '{"imageLayoutVersion":"1.0.0"}' },
    {
      header: { name: "index.json" },
      content: jsonBytes({ schemaVersion: 2, manifests: [target] }),
    },
    ...blobs.map((blob) => ({
      header: { name: `blobs/${digestOf(blob).replace(":", "/")}` },
      content: blob,
    })),
  ]);
}

async function expectStatus(response: Promise<Response>, status: number): Promise<Response> {
  const answer = await response;
  if (answer.status !== status)
    throw new Error(`registry answered ${String(answer.status)}: ${await answer.text()}`);
  return answer;
}

function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
