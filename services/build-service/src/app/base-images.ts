/** The images that a build begins with: each is looked up once, and shown while it is. */
import { nowNano } from "@gantry/events";
import { formatPlatform, hostPlatform, type Platform, samePlatform } from "@gantry/oci";
import { keyOf } from "../domain/solver/cache-key.ts";
import type { BuildMaterial, BuildRequest } from "../ports/build.ts";
import type { BuildInputs, LayoutImage } from "../ports/build-inputs.ts";
import type { BaseImage } from "../ports/layers.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { inBuildkitWords } from "./registry-texts.ts";
import type { StepListener } from "./run-build.ts";
import { takeLayout } from "./take-layout.ts";
import type { VertexTracker } from "./vertex-tracker.ts";

/** Whose images they are. */
export interface BaseImagesOptions {
  readonly parts: BuilderParts;
  readonly request: BuildRequest;
  readonly inputs: BuildInputs;
  readonly signal: AbortSignal;
  readonly listener: StepListener | undefined;
  readonly tracker: VertexTracker;
  /** Holds what was found until the build ends. */
  readonly leaseOwner: string;
}

/** The whole name of an image; undefined: the reference is none. */
export function fullNameOf({ fullName }: BuilderParts, reference: string): string | undefined {
  try {
    return fullName(reference);
  } catch {
    return undefined;
  }
}

/** Base images of one build. */
export class BaseImages {
  /** What was found, for the provenance. */
  readonly materials: BuildMaterial[] = [];
  /** Chain IDs of those that no build has used before. */
  readonly fresh = new Set<string>();
  readonly #of: BaseImagesOptions;
  readonly #images = new Map<string, Promise<BaseImage>>();

  constructor(options: BaseImagesOptions) {
    this.#of = options;
  }

  /** An image by its reference. @param context the named context that stands for it */
  base(reference: string, platform: Platform, context?: string): Promise<BaseImage> {
    const shown = this.#of.request.platforms.length > 1 ? `${formatPlatform(platform)} ` : "";
    const name =
      context === undefined
        ? `[${shown}internal] load metadata for ${this.#of.parts.fullName(reference)}`
        : `[context ${context}] load metadata for ${reference}`;
    return this.#once([reference, context, platform], () =>
      this.#resolve(name, reference, platform),
    );
  }

  /** An image of the client's own layout. @param context its named context */
  layout(image: LayoutImage, context: string, platform: Platform): Promise<BaseImage> {
    const reference = `${this.#of.parts.fullName(context).replace(/:latest$/, "")}@${image.digest}`;
    const name = `[context ${context}] load metadata for ${reference}`;
    return this.#once([reference, platform], async () => {
      const digest = internalDigest(this.#of.request.id, name, platform);
      const vertex = this.#of.tracker.internal(digest, name);
      try {
        const wanted = { ...image, reference, platform };
        const taken = await takeLayout(
          this.#of.parts,
          wanted,
          this.#of.leaseOwner,
          this.#of.signal,
        );
        vertex.end();
        return taken;
      } catch (error) {
        vertex.end(error);
        throw error;
      }
    });
  }

  /** The classic builder takes what it finds where nobody has said what it is to be for. */
  #wanted(platform: Platform): Platform | undefined {
    const isAsked =
      this.#of.request.platforms.length > 0 || !samePlatform(platform, hostPlatform());
    return this.#of.listener === undefined || isAsked ? platform : undefined;
  }

  #once(key: readonly unknown[], find: () => Promise<BaseImage>): Promise<BaseImage> {
    const name = JSON.stringify(key);
    const known = this.#images.get(name);
    if (known !== undefined) return known;
    const found = find();
    this.#images.set(name, found);
    return found;
  }

  async #resolve(name: string, reference: string, platform: Platform): Promise<BaseImage> {
    const vertex = this.#of.tracker.internal(
      internalDigest(this.#of.request.id, name, platform),
      name,
    );
    const started = nowNano();
    try {
      const image = await this.#of.parts.layers.resolve({
        ...{
          reference,
          platform: this.#wanted(platform),
          staysLocal: this.#of.listener === undefined,
        },
        ...{
          pull: this.#of.request.pull,
          leaseOwner: this.#of.leaseOwner,
          signal: this.#of.signal,
        },
        credential: (host) => this.#of.inputs.registryAuth(host, this.#of.signal),
        onPull: (step) => {
          this.#of.listener?.onPull(step);
          if (step.id === "") return;
          const isDone = /complete|exists/i.test(step.status);
          vertex.status({
            ...{ id: step.id, name: step.status, current: step.current, total: step.total },
            ...{ startedNano: started, completedNano: isDone ? nowNano() : undefined },
          });
        },
      });
      const { parts } = this.#of;
      if (parts.cache.layer(image.chainId) === undefined) this.fresh.add(image.chainId);
      parts.knowLayers(image);
      this.materials.push({
        uri: `pkg:docker/${image.reference.replace(/:([^:/]+)$/, "@$1")}?platform=${encodeURIComponent(formatPlatform(image.platform))}`,
        digest: image.id,
      });
      vertex.end();
      return image;
    } catch (error) {
      vertex.end(this.#metadataFailure(reference, error));
      throw error;
    }
  }

  #metadataFailure(reference: string, error: unknown): unknown {
    const name = fullNameOf(this.#of.parts, reference);
    if (!(error instanceof Error) || error.name === "AbortError" || name === undefined)
      return error;
    return new Error(inBuildkitWords(error.message, name), { cause: error });
  }
}

/** Digest of a vertex that no Dockerfile has. */
function internalDigest(...parts: readonly unknown[]): string {
  return `sha256:${keyOf(parts)}`;
}
