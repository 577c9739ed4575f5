/** Everything that a new container wants mounted, as one list without duplicates. */
import { hasKind, internal, invalidArgument, toEngineError } from "@gantry/errors";
import { parseMount } from "../../domain/volume/mount-config.ts";
import {
  parseAnonymous,
  parseBind,
  parseTmpfs,
  parseVolumesFrom,
} from "../../domain/volume/mount-spec.ts";
import type { MountRules, MountWish } from "../../domain/volume/mount-wish.ts";
import type { MountedContainer } from "../../ports/volumes.ts";
import type { VolumeContext } from "./context.ts";
import { besideEngineRoot } from "./engine-root.ts";

/**
 * What is asked for by name goes before what comes from other containers, and that before the image's
 * volumes. As in dockerd, HostConfig.Tmpfs excludes only binds, and that where both are written alike: anything else at
 * its place is covered by it. Errors: invalid_argument, internal, never not_found.
 */
export function resolveMounts(
  context: VolumeContext,
  container: MountedContainer,
  rules: MountRules,
): MountWish[] {
  const wishes = new Map<string, MountWish>();
  const add = (wish: MountWish, asGiven = wish.destination): void => {
    if (wishes.has(wish.destination)) throw duplicate(asGiven);
    wishes.set(wish.destination, wish);
  };
  for (const text of container.binds?.values ?? []) {
    const wish = besideEngineRoot(
      wishOfBind(text, container.volumeDriver, rules),
      context.engineRoot,
    );
    if (Object.hasOwn(container.tmpfs, wish.destination)) throw duplicate(wish.destination);
    add(wish);
  }
  for (const mount of container.mounts) {
    add(besideEngineRoot(parseMount(mount, rules), context.engineRoot), mount.target);
  }
  const tmpfs = Object.entries(container.tmpfs).map((entry) => parseTmpfs(...entry));
  const own = new Set(wishes.keys());
  for (const text of container.volumesFrom?.values ?? []) {
    // Of several that are lent to one place, the last one counts.
    for (const wish of wishesFrom(context, text)) {
      if (!own.has(wish.destination)) wishes.set(wish.destination, wish);
    }
  }
  for (const destination of container.volumes) {
    const wish = parseAnonymous(destination, container.volumeDriver);
    if (wishes.has(wish.destination) || Object.hasOwn(container.tmpfs, wish.destination)) continue;
    wishes.set(wish.destination, wish);
  }
  const covered = ({ type, destination }: MountWish): boolean =>
    type !== "tmpfs" && Object.hasOwn(container.tmpfs, destination);
  return [...tmpfs, ...wishes.values()].map((wish) => ({ ...wish, covered: covered(wish) }));
}

function duplicate(destination: string): Error {
  return invalidArgument(`Duplicate mount point: ${destination}`);
}

/** A bind that cannot be read is no wrong request to a dockerd: its answer is a 500. */
function wishOfBind(text: string, volumeDriver: string, rules: MountRules): MountWish {
  try {
    return parseBind(text, volumeDriver, rules);
  } catch (error) {
    if (!hasKind(error, "invalid_argument")) throw error;
    throw internal(toEngineError(error).message, { cause: error });
  }
}

/** Binds and volumes of another container; they are never filled, and nameless ones go with the last who has them. */
function wishesFrom(context: VolumeContext, text: string): MountWish[] {
  const { container, readOnly } = parseVolumesFrom(text);
  const mounts = context.registry.mountsOf(idOf(context, container))?.mounts ?? [];
  return mounts
    .filter(({ type }) => type === "bind" || type === "volume")
    .map((mount) => ({
      ...mount,
      mode: "",
      rw: mount.rw && !readOnly,
      noCopy: true,
      volumeLabels: {},
      volumeOptions: {},
      sourceMustExist: false,
      declared: false,
    }));
}

function idOf(context: VolumeContext, reference: string): string {
  try {
    return context.directory.resolveId(reference);
  } catch (error) {
    throw invalidArgument(`No such container: ${reference}`, { cause: error });
  }
}
