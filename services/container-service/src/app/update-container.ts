/** Update of limits and restart policy, live where the container runs. */
import { conflict, hasKind, internal, invalidArgument, isEngineError } from "@gantry/errors";
import { buildLimits, limitedDevices } from "../domain/bundle/build-resources.ts";
import { isLive } from "../domain/container-state.ts";
import { exactJson } from "../domain/exact-json.ts";
import type { HostConfig, Resources, RestartPolicy } from "../domain/nouns.ts";
import { normalizeResources } from "../domain/validate/normalize-resources.ts";
import { validateRestartPolicy } from "../domain/validate/validate-host-config.ts";
import { type App, change, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";

/** What changes; members that are zero stay. */
export interface UpdateOptions {
  readonly resources: Resources | undefined;
  readonly restartPolicy: RestartPolicy | undefined;
}

/** Returns warnings. Errors: not_found, invalid_argument, conflict. */
export async function updateContainer(
  app: App,
  reference: string,
  options: UpdateOptions,
): Promise<readonly string[]> {
  // What is malformed is refused whoever it is for.
  if (isGiven(options.restartPolicy)) validateRestartPolicy(options.restartPolicy, false);
  const asked = options.resources && normalizeResources(options.resources, app.host, true);
  const entry = app.registry.find(reference);
  return await entry.serial.run(async () => {
    const { status } = entry.record.state;
    if (status === "removing" || status === "dead" || entry.removing) {
      throw conflict(`container is marked for removal and cannot be "update"`);
    }
    const policy = newPolicy(entry, options.restartPolicy);
    const given = asked ?? normalizeResources(neutral(entry), app.host, true);
    const resources = mergeResources(entry, options, given.resources);
    refuseMemory(app, entry, options.resources, given.resources);
    await applyLive(app, entry, resources);
    const hostConfig: HostConfig = {
      ...entry.record.hostConfig,
      ...(resources === undefined ? {} : { resources }),
      ...(policy === undefined ? {} : { restartPolicy: policy }),
    };
    const event = containerEvent(entry.record, "update");
    await change(app, entry, { ...entry.record, hostConfig }, [event]);
    await app.store.synced();
    return given.warnings;
  });
}

function isGiven(policy: RestartPolicy | undefined): policy is RestartPolicy {
  return policy !== undefined && policy.name !== "";
}

function newPolicy(entry: Entry, policy: RestartPolicy | undefined): RestartPolicy | undefined {
  if (!isGiven(policy)) return undefined;
  if (entry.record.hostConfig.autoRemove && policy.name !== "no") {
    throw conflict(
      `Cannot update container ${entry.id}: Restart policy cannot be updated because AutoRemove is enabled for the container`,
    );
  }
  return policy;
}

/** Nothing to check: the limits that are in force. */
function neutral(entry: Entry): Resources {
  const { resources } = entry.record.hostConfig;
  if (resources === undefined) throw invalidArgument("container has no resources");
  return resources;
}

const numbers = [
  "cpuShares",
  "memoryBytes",
  "nanoCpus",
  "blkioWeight",
  "cpuPeriodUs",
  "cpuQuotaUs",
  "cpuRealtimePeriodUs",
  "cpuRealtimeRuntimeUs",
  "memoryReservationBytes",
  "memorySwapBytes",
] as const;
const texts = ["cpusetCpus", "cpusetMems"] as const;

/** Non-zero members over the old ones; undefined when nothing was given. */
function mergeResources(
  { id, record }: Entry,
  options: UpdateOptions,
  given: Resources,
): Resources | undefined {
  const old = record.hostConfig.resources;
  const asked = options.resources;
  if (asked === undefined || old === undefined) return undefined;
  const next: Resources = { ...old };
  for (const name of numbers) {
    if (asked[name] !== 0n && asked[name] !== 0) Object.assign(next, { [name]: given[name] });
  }
  for (const name of texts) if (asked[name] !== "") next[name] = given[name];
  if (given.pidsLimit !== undefined) next.pidsLimit = given.pidsLimit;
  refuseConflicts(id, old, asked);
  return next;
}

function refuseConflicts(id: string, old: Resources, asked: Resources): void {
  const refused = (why: string): Error => conflict(`Cannot update container ${id}: ${why}`);
  if (asked.nanoCpus !== 0n && (old.cpuPeriodUs !== 0n || old.cpuQuotaUs !== 0n)) {
    const which = old.cpuPeriodUs !== 0n ? "CPU Period" : "CPU Quota";
    throw refused(
      `Conflicting options: Nano CPUs cannot be updated as ${which} has already been set`,
    );
  }
  if (old.nanoCpus !== 0n && (asked.cpuPeriodUs !== 0n || asked.cpuQuotaUs !== 0n)) {
    const which = asked.cpuPeriodUs !== 0n ? "CPU Period" : "CPU Quota";
    throw refused(
      `Conflicting options: ${which} cannot be updated as NanoCPUs has already been set`,
    );
  }
}

/** No limit of swap is 0, and below any limit of memory; a kernel without such limits is not asked about them. */
function refuseMemory(
  app: App,
  { id, record }: Entry,
  asked: Resources | undefined,
  given: Resources,
): void {
  const old = record.hostConfig.resources?.memorySwapBytes ?? 0n;
  if (!app.host.features.swapLimit || asked?.memorySwapBytes !== 0n) return;
  if (given.memoryBytes > 0n && given.memoryBytes > old) {
    throw conflict(
      `Cannot update container ${id}: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time`,
    );
  }
}

/**
 * Writes the limits to a cgroup that is there. A run that has just ended has none, as before the next start.
 * Errors: internal with Docker's text for a limit that the kernel refuses.
 */
async function applyLive(app: App, entry: Entry, resources: Resources | undefined): Promise<void> {
  if (resources === undefined || !isLive(entry.record.state)) return;
  const limits = buildLimits(resources, app.devices.blockDevices(limitedDevices(resources)));
  try {
    await app.shim.update({ id: entry.id, resourcesJson: Buffer.from(exactJson(limits)) });
  } catch (error) {
    if (hasKind(error, "not_found")) return;
    if (!isEngineError(error) || error.kind !== "internal") throw error;
    const ended = "runc did not terminate successfully: exit status 1";
    const message = `Cannot update container ${entry.id}: ${ended}: ${error.message}`;
    throw internal(message, { cause: error });
  }
}
