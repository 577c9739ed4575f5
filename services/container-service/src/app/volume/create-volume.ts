/** Makes a volume, or finds the one of that name. */
import { conflict, notFound } from "@gantry/errors";
import { anonymousLabel, type VolumeRecord } from "../../domain/volume/records.ts";
import { checkDriverOptions, checkVolumeName } from "../../domain/volume/volume-rules.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { VolumeContext } from "./context.ts";

/** What a volume is made from. */
export interface NewVolume {
  /** Empty: anonymous. */
  readonly name: string;
  /** Empty: local. */
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** The volume, and whether it was made by this call. */
export interface CreatedVolume {
  readonly volume: VolumeRecord;
  readonly created: boolean;
}

/**
 * `claimedBy`: a container under creation, for which the volume is kept from being pruned.
 * Errors: conflict (other driver), invalid_argument, not_found (driver).
 */
export async function createVolume(
  context: VolumeContext,
  request: NewVolume,
  claimedBy?: string,
): Promise<CreatedVolume> {
  const driver = request.driver === "" ? "local" : request.driver;
  const anonymous = request.name === "";
  const name = anonymous ? context.newId() : request.name;
  if (driver !== "local") {
    throw notFound(
      "plugin",
      driver,
      `create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`,
    );
  }
  checkVolumeName(name);
  checkDriverOptions(name, request.options);
  if (claimedBy !== undefined) context.registry.claim(name, claimedBy);
  const found = context.registry.volume(name);
  if (found !== undefined) {
    if (found.driver !== driver)
      throw conflict(`create ${name}: conflict: volume name must be unique`);
    await context.host.ensure(name);
    return { volume: found, created: false };
  }
  const volume: VolumeRecord = {
    name,
    driver,
    createdNano: String(context.nowNano()),
    labels: anonymous ? { ...request.labels, [anonymousLabel]: "" } : { ...request.labels },
    options: { ...request.options },
  };
  const change = context.registry.put(volume);
  // Where that fails, so does the making of the folder, which tells why.
  const [, kept] = await Promise.allSettled([
    context.host.reserve(name),
    context.store.commit([change], [volumeEvent(volume, "create")]),
  ]);
  if (kept.status === "rejected") {
    context.registry.remove(name);
    throw kept.reason;
  }
  await makeFolder(context, volume);
  return { volume, created: true };
}

/** After the record: a folder without one would be taken for one to adopt, and never be pruned. */
async function makeFolder(context: VolumeContext, volume: VolumeRecord): Promise<void> {
  try {
    await context.host.ensure(volume.name);
  } catch (error) {
    const change = context.registry.remove(volume.name);
    await context.store.commit([change], [volumeEvent(volume, "destroy")]);
    throw error;
  }
}

/** What the event log tells of a volume. */
export function volumeEvent({ name, driver }: VolumeRecord, action: string): NewEvent {
  return { type: "volume", action, actorId: name, attributes: { driver } };
}
