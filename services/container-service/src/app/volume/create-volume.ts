/** Makes a volume, or finds the one of that name. */
import path from "node:path";
import { conflict, internal, notFound, toEngineError } from "@gantry/errors";
import { anonymousLabel, type VolumeRecord } from "../../domain/volume/records.ts";
import { checkDriverOptions, checkVolumeName } from "../../domain/volume/volume-rules.ts";
import { FoldersMissing, type NewEvent } from "../../ports/metadata.ts";
import type { VolumeContext } from "./context.ts";

/** What a volume is made from. */
export interface NewVolume {
  /** Empty: anonymous. */
  readonly name: string;
  /** Empty: local. */
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly given?: VolumeRecord["given"];
}

/** The volume, and whether it was made by this call. */
export interface CreatedVolume {
  readonly volume: VolumeRecord;
  readonly created: boolean;
}

const localDriver = "local";

/**
 * `claimedBy`: a container under creation, for which the volume is kept from being pruned.
 * Errors: conflict (other driver), invalid_argument, not_found (driver).
 */
export async function createVolume(
  context: VolumeContext,
  request: NewVolume,
  claimedBy?: string,
): Promise<CreatedVolume> {
  const driver = request.driver === "" ? localDriver : request.driver;
  const name = request.name === "" ? context.newId() : request.name;
  if (driver !== localDriver) {
    throw notFound(
      "plugin",
      driver,
      `create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`,
    );
  }
  checkVolumeName(name);
  if (claimedBy !== undefined) context.registry.claim(name, claimedBy);
  return context.turns.take(name, () => findOrMake(context, name, request));
}

async function findOrMake(
  context: VolumeContext,
  name: string,
  request: NewVolume,
): Promise<CreatedVolume> {
  const found = context.registry.volume(name);
  if (found !== undefined) {
    if (found.driver !== localDriver)
      throw conflict(`create ${name}: conflict: volume name must be unique`);
    await context.host.ensure(name);
    return { volume: found, created: false };
  }
  // Options for one that is there already are not looked at.
  checkDriverOptions(name, request.options);
  checkLength(context, name);
  const anonymous = request.name === "";
  const volume: VolumeRecord = {
    name,
    driver: localDriver,
    createdNano: String(context.nowNano()),
    labels: anonymous ? { ...request.labels, [anonymousLabel]: "" } : { ...request.labels },
    options: { ...request.options },
    ...(request.given !== undefined && { given: request.given }),
  };
  await keep(context, volume);
  return { volume, created: true };
}

async function keep(context: VolumeContext, volume: VolumeRecord): Promise<void> {
  const { registry, host, store } = context;
  try {
    await store.commit([registry.put(volume)], [volumeEvent(volume, "create")], {
      folders: host.making(volume.name),
    });
  } catch (error) {
    const change = registry.remove(volume.name);
    if (error instanceof FoldersMissing) {
      await store.commit([change], [volumeEvent(volume, "destroy")]);
    }
    throw aboutFolders(context, volume.name, error);
  }
}

/** In dockerd's words, where a folder could not be made; any other error as it is. */
function aboutFolders({ host }: VolumeContext, name: string, error: unknown): unknown {
  const { message, cause } = toEngineError(error);
  const isData = error instanceof FoldersMissing;
  if (!isData && !(cause instanceof Error && "code" in cause)) return error;
  const files = host.mountpoint(name);
  const place = isData ? `data path '${files}'` : `root path '${path.dirname(files)}'`;
  return internal(`create ${name}: error while creating volume ${place}: ${message}`, {
    cause: error,
  });
}

/** No file system takes a longer name. */
const maxNameBytes = 255;

function checkLength(context: VolumeContext, name: string): void {
  if (Buffer.byteLength(name) <= maxNameBytes) return;
  const folder = path.dirname(context.host.mountpoint(name));
  throw internal(
    `create ${name}: error while creating volume root path '${folder}': mkdir ${folder}: file name too long`,
  );
}

/** What the event log tells of a volume. */
export function volumeEvent({ name, driver }: VolumeRecord, action: string): NewEvent {
  return { type: "volume", action, actorId: name, attributes: { driver } };
}
