/** The distribution API of one repository. */
import { EngineError, internal, invalidArgument } from "@gantry/errors";
import {
  acceptedManifestTypes,
  type Digest,
  isDigest,
  list,
  maxManifestBytes,
  object,
  parseDocument,
  sha256Digest,
  string,
} from "@gantry/oci";
import type {
  RemoteBlob,
  RemoteHead,
  RemoteManifest,
  Repository,
  UploadBody,
} from "../../ports/registry.ts";
import { connectionError } from "./go-errors.ts";
import { dropBody, type HttpResponse, readBody } from "./http-client.ts";
import { RegistryError } from "./registry-error.ts";
import { headerText, type RegistrySession } from "./session.ts";
import { uploadBlob } from "./upload.ts";

const accept = acceptedManifestTypes.join(", ");

/** Most tags that are listed, in pages. */
const maxTags = 100_000;

export class RemoteRepository implements Repository {
  readonly #session: RegistrySession;
  readonly #base: string;

  constructor(session: RegistrySession, path: string) {
    this.#session = session;
    this.#base = `/v2/${path}`;
  }

  async resolve(tagOrDigest: string, signal: AbortSignal): Promise<RemoteHead> {
    const target = `${this.#base}/manifests/${tagOrDigest}`;
    const response = await this.#session
      .send({
        method: "HEAD",
        target,
        headers: { accept },
        accept: [200, 400, 405, 501],
        signal,
      })
      .catch((error: unknown) => this.#explain(error, target, signal));
    dropBody(response);
    const named = headerText(response, "docker-content-digest");
    const length = Number(headerText(response, "content-length") || Number.NaN);
    const answered = response.status === 200;
    return {
      digest: answered && isDigest(named) ? named : undefined,
      mediaType: answered ? mediaTypeOf(response) : "",
      sizeBytes: answered && Number.isSafeInteger(length) ? length : undefined,
    };
  }

  /** The answer to HEAD has no body: ask again for the words that belong to the error. */
  async #explain(error: unknown, target: string, signal: AbortSignal): Promise<HttpResponse> {
    if (!(error instanceof RegistryError) || error.code !== "" || error.status >= 500) throw error;
    return this.#session.send({
      method: "GET",
      target,
      headers: { accept },
      accept: [200],
      signal,
    });
  }

  async manifest(tagOrDigest: string, signal: AbortSignal): Promise<RemoteManifest> {
    const response = await this.#session.send({
      method: "GET",
      target: `${this.#base}/manifests/${tagOrDigest}`,
      headers: { accept },
      accept: [200],
      signal,
    });
    const { bytes, whole } = await readBody(response, maxManifestBytes);
    if (!whole) throw invalidArgument(`manifest is larger than ${maxManifestBytes} bytes`);
    const digest = sha256Digest(bytes);
    const wanted = isDigest(tagOrDigest) ? tagOrDigest : undefined;
    if (wanted?.startsWith("sha256:") && wanted !== digest) {
      throw invalidArgument(`manifest verification failed for digest ${wanted}`);
    }
    return { bytes, mediaType: mediaTypeOf(response), digest };
  }

  async blob(digest: Digest, offset: number, signal: AbortSignal): Promise<RemoteBlob> {
    const response = await this.#session.send({
      method: "GET",
      target: `${this.#base}/blobs/${digest}`,
      headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
      accept: [200, 206],
      signal,
    });
    if (response.status === 200) return { bytes: bodyOf(response), offset: 0 };
    const range = /^bytes (\d+)-/.exec(headerText(response, "content-range"));
    if (range === null || Number(range[1]) !== offset) {
      response.body.destroy();
      throw internal("the registry answered another range than was asked for");
    }
    return { bytes: bodyOf(response), offset };
  }

  async tags(signal: AbortSignal): Promise<readonly string[]> {
    const found: string[] = [];
    let target: string | undefined = `${this.#base}/tags/list?n=1000`;
    while (target !== undefined && found.length < maxTags) {
      const response: HttpResponse = await this.#session.send({
        method: "GET",
        target,
        accept: [200],
        signal,
      });
      const { bytes } = await readBody(response, maxManifestBytes);
      const page = tagPage(parseDocument(bytes, "list of tags", maxManifestBytes), "tags");
      found.push(...(page.tags ?? []));
      target = this.#nextPage(response);
    }
    return found;
  }

  #nextPage(response: HttpResponse): string | undefined {
    const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(headerText(response, "link"))?.[1];
    if (next === undefined || !URL.canParse(next, response.url)) return undefined;
    const url = new URL(next, response.url);
    return url.origin === response.url.origin ? `${url.pathname}${url.search}` : undefined;
  }

  hasBlob(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#exists(`${this.#base}/blobs/${digest}`, {}, signal);
  }

  hasManifest(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#exists(`${this.#base}/manifests/${digest}`, { accept }, signal);
  }

  async #exists(
    target: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const response = await this.#session.send({
      method: "HEAD",
      target,
      headers,
      accept: [200, 404],
      signal,
    });
    dropBody(response);
    return response.status === 200;
  }

  async mount(digest: Digest, from: string, signal: AbortSignal): Promise<boolean> {
    const query = new URLSearchParams({ mount: digest, from });
    const response = await this.#session.send({
      method: "POST",
      target: `${this.#base}/blobs/uploads/?${query.toString()}`,
      headers: { "content-length": "0" },
      accept: [201, 202],
      tries: 1,
      signal,
    });
    dropBody(response);
    if (response.status === 201) return true;
    // It began an upload instead, which nobody will finish.
    const location = headerText(response, "location");
    if (location !== "" && URL.canParse(location, response.url)) {
      const target = new URL(location, response.url).href;
      await this.#session
        .send({ method: "DELETE", target, accept: [200, 202, 204, 404, 405], tries: 1, signal })
        .then(dropBody)
        .catch((error: unknown) => {
          // The registry forgets it by itself in time.
          if (signal.aborted) throw error;
        });
    }
    return false;
  }

  upload(body: UploadBody, signal: AbortSignal): Promise<void> {
    return uploadBlob(this.#session, this.#base, body, signal);
  }

  async putManifest(
    tagOrDigest: string,
    manifest: { readonly bytes: Buffer; readonly mediaType: string },
    signal: AbortSignal,
  ): Promise<void> {
    const response = await this.#session.send({
      method: "PUT",
      target: `${this.#base}/manifests/${tagOrDigest}`,
      headers: {
        "content-type": manifest.mediaType,
        "content-length": String(manifest.bytes.length),
      },
      body: manifest.bytes,
      accept: [200, 201, 202],
      tries: 3,
      signal,
    });
    dropBody(response);
  }
}

const tagPage = object({}, { tags: list(string) });

function mediaTypeOf(response: HttpResponse): string {
  const type = headerText(response, "content-type").split(";")[0]?.trim() ?? "";
  // Some registries name nothing better: then the document's own word counts.
  return type === "application/json" || type === "application/octet-stream" || type === "text/plain"
    ? ""
    : type;
}

/** A body whose failure reads as ours. */
async function* bodyOf(response: HttpResponse): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw connectionError("GET", response.url, error);
  }
}
