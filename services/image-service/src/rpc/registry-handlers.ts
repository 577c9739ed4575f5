/** ImageService: what speaks to registries. */
import { parseDigest } from "@gantry/oci";
import type { ImageService, RegistryAuth } from "@gantry/proto/image";
import type { Handlers } from "@gantry/rpc";
import type { BlobFetcher } from "../app/blob-fetcher.ts";
import { inspectDistribution } from "../app/inspect-distribution.ts";
import { type Pulled, pullImage } from "../app/pull-image.ts";
import { pushImage } from "../app/push-image.ts";
import { searchImages } from "../app/search-images.ts";
import type { Slots } from "../app/slots.ts";
import type { Store } from "../app/store.ts";
import type { Credential, Registries } from "../ports/registry.ts";
import { filtersOf, platformOf, wireDescriptor, wirePlatform, wireProgress } from "./messages.ts";
import { streamProgress } from "./progress-stream.ts";

export interface RegistryParts {
  readonly store: Store;
  readonly registries: Registries;
  readonly fetcher: BlobFetcher;
  readonly downloads: Slots;
  readonly uploads: Slots;
}

export function registryHandlers(
  parts: RegistryParts,
): Pick<
  Handlers<typeof ImageService>,
  "pullImage" | "pushImage" | "login" | "inspectDistribution" | "searchImages"
> {
  const { registries } = parts;
  return {
    async *pullImage(request, { signal }) {
      const { reference, tag, allTags, leaseOwner } = request;
      const platform = platformOf(request.platform);
      const credential = credentialOf(request.auth);
      const deps = { ...parts, slots: parts.downloads };
      const options = { reference, tag, allTags, platform, credential, leaseOwner, signal };
      let pulled: Pulled | undefined;
      for await (const progress of streamProgress(async (emit) => {
        pulled = await pullImage(deps, { ...options, emit });
      })) {
        yield { progress: wireProgress(progress) };
      }
      if (leaseOwner === "" || pulled === undefined) return;
      yield { target: wireDescriptor(pulled.target), manifest: wireDescriptor(pulled.manifest) };
    },

    async *pushImage(request, { signal }) {
      const { reference, tag, insecure } = request;
      const platform = platformOf(request.platform);
      const credential = credentialOf(request.auth);
      const deps = { ...parts, slots: parts.uploads };
      const target = request.target && parseDigest(request.target.digest);
      for await (const progress of streamProgress((emit) =>
        pushImage(deps, { reference, tag, platform, credential, target, insecure, emit, signal }),
      )) {
        yield { progress: wireProgress(progress) };
      }
    },

    async login({ auth }, { signal }) {
      const credential = credentialOf(auth) ?? anonymousAt(auth?.serverAddress ?? "");
      const identityToken = await registries.login(credential, signal);
      return { status: "Login Succeeded", identityToken };
    },

    async inspectDistribution({ reference, auth }, { signal }) {
      const found = await inspectDistribution(registries, reference, credentialOf(auth), signal);
      return {
        descriptor: wireDescriptor(found.descriptor),
        platforms: found.platforms.map(wirePlatform),
      };
    },

    async searchImages({ term, limit, filters, auth }, { signal }) {
      const results = await searchImages(registries, {
        term,
        limit,
        filters: filtersOf(filters),
        credential: credentialOf(auth),
        signal,
      });
      return { results: results.map((each) => ({ ...each })) };
    },
  };
}

/** A login without a name: the registry says what it thinks of that. */
function anonymousAt(serverAddress: string): Credential {
  return { username: "", password: "", serverAddress, identityToken: "", registryToken: "" };
}

/** Undefined for an anonymous client. */
function credentialOf(auth: RegistryAuth | undefined): Credential | undefined {
  if (auth === undefined) return undefined;
  const { username, password, serverAddress, identityToken, registryToken } = auth;
  if (username === "" && identityToken === "" && registryToken === "") return undefined;
  return { username, password, serverAddress, identityToken, registryToken };
}
