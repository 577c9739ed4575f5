/** VolumeService: translates between messages and the operations of volumes. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type VolumeFilters, type VolumeSchema, VolumeService } from "@gantry/proto/volume";
import { type Implementation, implement } from "@gantry/rpc";
import type { LocalVolumes, VolumeView } from "../app/volume/local-volumes.ts";
import { isAnonymous } from "../domain/volume/records.ts";
import type { VolumeFilter } from "../domain/volume/volume-filters.ts";

/** The service over the volumes of the engine. */
export function volumeHandlers(volumes: LocalVolumes): Implementation {
  return implement(VolumeService, {
    async createVolume({ name, driver, options, labels, hasOptions, hasLabels }) {
      const given = { options: hasOptions, labels: hasLabels };
      return { volume: toMessage(await volumes.create({ name, driver, options, labels, given })) };
    },
    inspectVolume({ name }) {
      return Promise.resolve({ volume: toMessage(volumes.inspect(name)) });
    },
    async listVolumes({ filters, usage }, { signal }) {
      const listed = await volumes.list(toFilter(filters), usage, signal);
      return { volumes: listed.map(toMessage), warnings: [] };
    },
    async removeVolume({ name, force }) {
      await volumes.remove(name, force);
      return {};
    },
    async pruneVolumes({ filters, all }, { signal }) {
      return volumes.prune(toFilter(filters), all, signal);
    },
  });
}

function toFilter(filters: VolumeFilters | undefined): VolumeFilter {
  const entries = Object.entries(filters?.filters ?? {});
  return new Map(entries.map(([key, { values }]) => [key, values]));
}

function toMessage(view: VolumeView): MessageInitShape<typeof VolumeSchema> {
  const { record } = view;
  return {
    name: record.name,
    driver: record.driver,
    mountpoint: view.mountpoint,
    createdNano: BigInt(record.createdNano),
    labels: { ...record.labels },
    options: { ...record.options },
    scope: "local",
    sizeBytes: view.sizeBytes ?? -1n,
    refCount: BigInt(view.refCount ?? -1),
    anonymous: isAnonymous(record),
    hasLabels: record.given?.labels ?? false,
    hasOptions: record.given?.options ?? false,
  };
}
