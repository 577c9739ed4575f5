/** Handlers of volumes. */
import {
  EngineError,
  hasKind,
  invalidArgument,
  notFound,
  toEngineError,
  unavailable,
} from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { type Filters, filterSet, readFilters } from "../decode/filters.ts";
import { nullIfEmpty } from "../encode/json.ts";
import { opened } from "../encode/version-gates.ts";
import { encodeVolume } from "../encode/volume.ts";
import { notManager } from "./refusals.ts";

const listKeys = new Set(["dangling", "driver", "label", "name"]);

/** GET /volumes */
export async function listVolumes(call: ApiCall): Promise<void> {
  const filters = filterSet(listFilters(call));
  const { volumes, warnings } = await call.backends.volumes.listVolumes({ filters });
  call.json({
    Volumes: volumes.map((each) => encodeVolume(each)),
    Warnings: nullIfEmpty(warnings),
  });
}

function listFilters(call: ApiCall): Filters {
  try {
    return readFilters(call.query, listKeys);
  } catch (error) {
    const { message } = toEngineError(error);
    if (message !== "invalid filter") throw error;
    throw invalidArgument(`error reading volume filters: ${message}`, { cause: error });
  }
}

/** POST /volumes/create */
export async function createVolume(call: ApiCall): Promise<void> {
  const body = await call.jsonBody("volume.CreateOptions");
  if (opened("clusterVolumes", call.version) && body.object("ClusterVolumeSpec") !== undefined)
    return await notManager(call);
  const options = body.textMap("DriverOpts");
  const labels = body.textMap("Labels");
  const { volume } = await call.backends.volumes.createVolume({
    name: body.text("Name"),
    driver: body.text("Driver"),
    options: options ?? {},
    labels: labels ?? {},
    hasOptions: options !== undefined,
    hasLabels: labels !== undefined,
  });
  if (volume === undefined) throw new EngineError("internal", "the answer has no volume");
  call.json(encodeVolume(volume), 201);
}

/** GET /volumes/{name} */
export async function inspectVolume(call: ApiCall): Promise<void> {
  const { volume } = await call.backends.volumes.inspectVolume({ name: call.name });
  if (volume === undefined) throw new EngineError("internal", "the answer has no volume");
  call.json(encodeVolume(volume));
}

/** GET and DELETE /volumes/: a volume whose name is empty. */
export function namelessVolume(): never {
  throw notFound("volume", "", "get: no such volume");
}

/** PUT /volumes/{name}: only cluster volumes can be updated, and there are none without a swarm. */
export function updateVolume(): never {
  throw unavailable("volume update only valid for cluster volumes, but swarm is unavailable");
}

/** DELETE /volumes/{name}: by force a missing volume is no error. */
export async function removeVolume(call: ApiCall): Promise<void> {
  const force = call.query.flag("force");
  try {
    await call.backends.volumes.removeVolume({ name: call.name, force });
  } catch (error) {
    if (!force || !hasKind(error, "not_found")) throw error;
  }
  call.empty(204);
}

const pruneKeys = new Set(["all", "label", "label!"]);

/** POST /volumes/prune */
export async function pruneVolumes(call: ApiCall): Promise<void> {
  const filters = new Map(readFilters(call.query, pruneKeys));
  const old = !opened("pruneVolumesAll", call.version);
  // Below 1.42 dockerd adds a word of its own to those that were given.
  const given = filters.get("all") ?? [];
  const words = old ? [...new Set([...given, "true"])] : given;
  if (words.length > 1) {
    throw invalidArgument(`invalid filter 'all=[${words.join(" ")}]': only one value is expected`);
  }
  filters.delete("all");
  const all = words.some(isTrue);
  const pruned = await call.backends.volumes.pruneVolumes({ filters: filterSet(filters), all });
  call.json({ VolumesDeleted: pruned.deleted, SpaceReclaimed: pruned.spaceReclaimedBytes });
}

function isTrue(word: string): boolean {
  if (["1", "t", "true"].includes(word.toLowerCase())) return true;
  if (["0", "f", "false"].includes(word.toLowerCase())) return false;
  throw invalidArgument(
    `invalid filter 'all': strconv.ParseBool: parsing ${JSON.stringify(word)}: invalid syntax`,
  );
}
