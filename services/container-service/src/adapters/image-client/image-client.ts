/** Images over gRPC to image-service. */
import { hasKind, invalidArgument } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { type Platform, parsePlatform } from "@gantry/oci";
import { EventService } from "@gantry/proto/event";
import {
  ContentService,
  type Image,
  ImageService,
  type OverlayMount,
  type ResolveImageResponse,
  SnapshotService,
} from "@gantry/proto/image";
import type { Channel } from "@gantry/rpc";
import type { ManifestDescriptor, RootfsMount, UsedImage } from "../../domain/container-record.ts";
import { parseImageConfig } from "../../domain/image-config.ts";
import type { Images, ImageUse, ResolvedImage } from "../../ports/images.ts";
import { watchNames } from "./name-watcher.ts";
import { openUserAnnouncer } from "./user-announcer.ts";

/** A service that takes longer to hear of users is treated as away. */
const tellWithinMs = 2000;
/** Keys of snapshots and leases that belong to containers. */
const containerId = /^[0-9a-f]{64}(?=$|-)/;

export function openImages(channel: Channel, logger: Logger): Images {
  const images = channel.client(ImageService);
  const snapshots = channel.client(SnapshotService);
  const content = channel.client(ContentService);
  const discard = async (id: string): Promise<void> => {
    await snapshots.removeSnapshot({ key: id });
    // Views of images that were mounted go with the lease.
    await content.releaseLease({ owner: id });
  };
  /** What image-service was away for. */
  const owed = new Set<string>();
  const announcer = openUserAnnouncer(async (uses) => {
    await images.setImageUsers({ users: [...uses] }, { timeoutMs: tellWithinMs });
    for (const id of owed) {
      await discard(id);
      owed.delete(id);
    }
  }, logger);
  let users: () => readonly ImageUse[] = () => [];
  const resolve = (reference: string, platform: string, id: string, signal: AbortSignal) =>
    images.resolveImage({ image: reference, ...wanted(platform), leaseOwner: id }, { signal });
  const mountsOf = async (key: string, signal: AbortSignal): Promise<OverlayMount | undefined> => {
    try {
      return (await snapshots.getMounts({ key }, { signal })).mount;
    } catch (error) {
      if (hasKind(error, "not_found")) return undefined;
      throw error;
    }
  };
  return {
    async resolve(reference, platform, id, signal) {
      return resolved(reference, await resolve(reference, platform, id, signal));
    },
    async prepareSnapshot(key, parentChainId, signal) {
      const request = { key, parentChainId, leaseOwner: key };
      return rootfs((await snapshots.prepareSnapshot(request, { signal })).mount);
    },
    async discard(id) {
      try {
        await discard(id);
      } catch (error) {
        if (!hasKind(error, "unavailable")) throw error;
        owed.add(id);
        announcer.announce(users);
      }
    },
    async listOwners() {
      const [{ snapshots: all }, { leases }] = await Promise.all([
        snapshots.listSnapshots({}),
        content.listLeases({}),
      ]);
      const names = [...all.map(({ key }) => key), ...leases.map(({ owner }) => owner)];
      return [...new Set(names.flatMap((name) => containerId.exec(name)?.[0] ?? []))];
    },
    async usage(key, signal) {
      const { sizeBytes, totalSizeBytes } = await snapshots.getUsage({ key }, { signal });
      return { ownBytes: sizeBytes, totalBytes: totalSizeBytes };
    },
    async changes(key, signal) {
      const { changes } = await snapshots.listSnapshotChanges({ key }, { signal });
      return changes.map(({ path, kind }) => ({ path, kind }));
    },
    async commit(request, signal) {
      const { containerId: id, configJson, changes, ...rest } = request;
      const { imageId } = await images.commitImage(
        {
          ...rest,
          snapshotKey: id,
          containerId: id,
          configJson: Buffer.from(configJson),
          changes: [...changes],
        },
        { signal },
      );
      return imageId;
    },
    setUsers(uses) {
      users = uses;
      announcer.announce(uses);
    },
    usersTold: announcer.settled,
    watchNames: (onChange, signal) => watchNames(channel.client(EventService), onChange, signal),
    async derivedIds(reference, signal) {
      try {
        return new Set((await images.listDerivedImages({ image: reference }, { signal })).imageIds);
      } catch (error) {
        // What can be no name names no image either.
        if (hasKind(error, "not_found") || hasKind(error, "invalid_argument")) return new Set();
        throw error;
      }
    },
    async currentId(reference, signal) {
      try {
        return (await images.inspectImage({ image: reference }, { signal })).image?.id;
      } catch (error) {
        if (hasKind(error, "not_found")) return undefined;
        throw error;
      }
    },
    async open(reference, id, signal) {
      const kept = (imageId: string): string =>
        `${id}-image-${imageId.replace(/^sha256:/, "").slice(0, 12)}`;
      let found: ResolveImageResponse;
      try {
        found = await resolve(reference, "", id, signal);
      } catch (error) {
        // An image that was removed by force stays for the containers that were created with it.
        const view = hasKind(error, "not_found") && (await mountsOf(kept(reference), signal));
        if (view === false || view === undefined) throw error;
        return { lowerDirs: view.lowerDirs, image: { id: reference, manifestDigest: "" } };
      }
      const { chainId, image } = found;
      const key = kept(image?.id ?? "");
      const { mount } = await snapshots.viewSnapshot({ key, chainId, leaseOwner: id }, { signal });
      const shown = { id: image?.id ?? "", manifestDigest: image?.manifest?.digest ?? "" };
      return { lowerDirs: mount?.lowerDirs ?? [], image: shown };
    },
  };
}

/** Empty: none. Throws invalid_argument with Docker's words. */
function wanted(text: string): { platform?: Pick<Platform, "os" | "architecture" | "variant"> } {
  if (text === "") return {};
  const { os, architecture, variant = "" } = parsePlatform(text);
  return { platform: { os, architecture, variant } };
}

function resolved(reference: string, response: ResolveImageResponse): ResolvedImage {
  const { image, chainId, platformMismatch } = response;
  if (image === undefined) throw invalidArgument("image-service answered without an image");
  const used = usedImage(reference, image, chainId);
  return {
    image: used,
    config: parseImageConfig(image.configJson),
    foreignPlatform: platformMismatch ? `${used.os}/${used.architecture}` : "",
  };
}

function usedImage(reference: string, image: Image, chainId: string): UsedImage {
  return {
    reference,
    id: image.id,
    manifest: manifestOf(image),
    chainId,
    os: image.platform?.os || "linux",
    architecture: image.platform?.architecture ?? "",
  };
}

function manifestOf({ manifest, platform }: Image): ManifestDescriptor {
  const from = manifest?.platform ?? platform;
  return {
    mediaType: manifest?.mediaType ?? "",
    digest: manifest?.digest ?? "",
    sizeBytes: Number(manifest?.sizeBytes ?? 0n),
    os: from?.os ?? "",
    architecture: from?.architecture ?? "",
    variant: from?.variant ?? "",
  };
}

function rootfs(mount: OverlayMount | undefined): RootfsMount {
  return {
    lowerDirs: mount?.lowerDirs ?? [],
    upperDir: mount?.upperDir ?? "",
    workDir: mount?.workDir ?? "",
    mountpoint: mount?.mountpoint ?? "",
  };
}
