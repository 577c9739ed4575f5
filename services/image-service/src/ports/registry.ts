import type { Descriptor, Digest, Reference } from "@gantry/oci";

/** A client's credential for one registry. Never logged, and sent to nobody but that registry's own token server. */
export interface Credential {
  readonly username: string;
  readonly password: string;
  readonly serverAddress: string;
  /** OAuth refresh token. */
  readonly identityToken: string;
  /** Bearer token to send as it is. */
  readonly registryToken: string;
}

/** A manifest or index as a registry gave it, its digest computed here. */
export interface RemoteManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly digest: Digest;
}

/** A blob's bytes from `offset` on. */
export interface RemoteBlob {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Where they begin: less than was asked for when the registry knows no ranges. */
  readonly offset: number;
}

/** What is sent of a blob. */
export interface UploadBody {
  readonly descriptor: Descriptor;
  /** The bytes from an offset on, each time anew. */
  readonly open: (offset: number) => AsyncIterable<Uint8Array>;
}

/** One repository of one registry, for the length of one operation. Retries and authenticates by itself. */
export interface Repository {
  /** What a tag or digest means; undefined fields: the registry did not say. Throws not_found. */
  resolve(tagOrDigest: string, signal: AbortSignal): Promise<RemoteHead>;
  /** Throws not_found. */
  manifest(tagOrDigest: string, signal: AbortSignal): Promise<RemoteManifest>;
  blob(digest: Digest, offset: number, signal: AbortSignal): Promise<RemoteBlob>;
  tags(signal: AbortSignal): Promise<readonly string[]>;
  hasBlob(digest: Digest, signal: AbortSignal): Promise<boolean>;
  hasManifest(digest: Digest, signal: AbortSignal): Promise<boolean>;
  /** Takes a blob over from another repository of the registry. False: it must be uploaded. */
  mount(digest: Digest, from: string, signal: AbortSignal): Promise<boolean>;
  upload(body: UploadBody, signal: AbortSignal): Promise<void>;
  putManifest(
    tagOrDigest: string,
    manifest: { readonly bytes: Buffer; readonly mediaType: string },
    signal: AbortSignal,
  ): Promise<void>;
}

/** What a registry says about a name. */
export interface RemoteHead {
  readonly digest: Digest | undefined;
  readonly mediaType: string;
  readonly sizeBytes: number | undefined;
}

/** One result of a search. */
export interface FoundRepository {
  readonly name: string;
  readonly description: string;
  readonly starCount: number;
  readonly isOfficial: boolean;
}

/** Registries. */
export interface Registries {
  /**
   * @param actions what will be done there
   * @param how.insecure as if it were one of the insecure registries; default false
   */
  repository(
    reference: Pick<Reference, "domain" | "path">,
    actions: "pull" | "push",
    credential: Credential | undefined,
    how?: { readonly insecure: boolean },
  ): Repository;
  /** Checks a credential. Throws unauthenticated. Returns a refresh token, or empty. */
  login(credential: Credential, signal: AbortSignal): Promise<string>;
  search(
    domain: string,
    term: string,
    limit: number,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<readonly FoundRepository[]>;
  /** The bytes of any URL, for `docker import URL`. */
  fetchUrl(url: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}
