/** From a record to what the shim launches: networks, mounts, devices, the bundle on disk. */
import {
  conflict,
  EngineError,
  internal,
  invalidArgument,
  notFound,
  toEngineError,
} from "@gantry/errors";
import type { NewEvent } from "@gantry/events";
import type { RuntimeMount } from "@gantry/oci";
import { bundleJson } from "../domain/bundle/build-bundle.ts";
import { limitedDevices } from "../domain/bundle/build-resources.ts";
import type { BundleInput, NamespaceSource } from "../domain/bundle/bundle-input.ts";
import type { ContainerRecord } from "../domain/container-record.ts";
import { isLive } from "../domain/container-state.ts";
import { logPlanOf } from "../domain/log-plan.ts";
import { checkLogRotation } from "../domain/log-rotation.ts";
import { byDepth } from "../domain/volume/oci-mounts.ts";
import type { PreparedNetwork } from "../ports/networking.ts";
import type { PreparedMounts } from "../ports/volumes.ts";
import type { App } from "./context.ts";
import { pidOf } from "./entry.ts";
import { referencedContainer } from "./namespace-references.ts";
import { takeShm } from "./shareable-shm.ts";

/** A launch that is ready, and the events to commit with its start. */
export interface PreparedLaunch {
  readonly request: Parameters<App["shim"]["launch"]>[0];
  readonly events: readonly NewEvent[];
}

/** Takes what the launch needs. After an error the caller releases network and volumes. */
export async function prepareLaunch(
  app: App,
  record: ContainerRecord,
  secretEnv: readonly string[],
  signal: AbortSignal,
): Promise<PreparedLaunch> {
  refuseDeviceRequests(record);
  const { logConfig } = record.hostConfig;
  checkLogRotation(logConfig?.type ?? "json-file", logConfig?.config ?? {});
  const [mounts, network] = await both(
    app.volumes.prepareStart(record.id, signal),
    app.networking.prepareStart(record, signal),
  );
  const input = await bundleInput(app, record, network, mounts);
  await app.folders.writeBundle(record.id, bundleJson(input));
  return {
    // Not in the bundle, which is a file.
    request: { ...launchRequest(app, record, network, input), secretEnv: [...secretEnv] },
    events: [...app.volumes.mounted(record.id), ...network.events],
  };
}

/** Waits for both also when one fails: what the other has taken can only be given back then. The first one's fault is told. */
async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

/** There are no drivers, and no device of a CDI specification is known. */
function refuseDeviceRequests(record: ContainerRecord): void {
  for (const asked of record.hostConfig.resources?.deviceRequests ?? []) {
    if (asked.driver !== "cdi") {
      const capabilities = asked.capabilities.map((each) => `[${each.values.join(" ")}]`).join(" ");
      throw internal(
        `could not select device driver "${asked.driver}" with capabilities: [${capabilities}]`,
      );
    }
    if (asked.deviceIds.length > 0) {
      const ids = asked.deviceIds.join(", ");
      throw internal(`CDI device injection failed: unresolvable CDI devices ${ids}`);
    }
  }
}

async function bundleInput(
  app: App,
  record: ContainerRecord,
  network: PreparedNetwork,
  mounts: PreparedMounts,
): Promise<BundleInput> {
  const { hostConfig } = record;
  const devices = hostConfig.privileged
    ? app.devices.all()
    : (hostConfig.resources?.devices ?? []).flatMap((mapping) => app.devices.resolve(mapping));
  return {
    record,
    host: app.host,
    defaults: app.runtimeDefaults,
    network: networkNamespace(app, network),
    ipc: ipcNamespace(app, hostConfig.ipcMode),
    pid: pidNamespace(app, hostConfig.pidMode),
    hostname: network.hostname || record.config.hostname,
    // A volume at /etc must not hide the files in it.
    mounts: [...fileMounts(network, mounts, hostConfig.readonlyRootfs), ...mounts.mounts].sort(
      byDepth,
    ),
    rootfsPropagation: mounts.rootfsPropagation,
    shmPath: await takeShm(app, record),
    devices,
    blockDevices: app.devices.blockDevices(limitedDevices(hostConfig.resources)),
    init: hostConfig.init ?? app.createDefaults.init,
  };
}

function networkNamespace(app: App, { namespace }: PreparedNetwork): NamespaceSource {
  if (namespace.mode !== "join") return namespace.mode;
  const entry = app.registry.byId(namespace.containerId);
  if (entry === undefined) throw notFound("container", namespace.containerId);
  const { name, state } = entry.record;
  if (!isLive(state)) {
    throw conflict(
      `cannot join network namespace of a non running container: container ${name} is ${state.status}`,
    );
  }
  return { pid: pidOf(entry) };
}

function ipcNamespace(app: App, mode: string): NamespaceSource {
  const id = referencedContainer(mode);
  if (id === undefined) return mode === "host" ? "host" : "new";
  try {
    const pid = donorPid(app, id);
    refuseUnshareable(app, id);
    return { pid };
  } catch (error) {
    const { kind, message } = toEngineError(error);
    throw new EngineError(kind, `failed to join IPC namespace: ${message}`, { cause: error });
  }
}

/** Docker looks for this one last, when everything that goes wrong is the engine's own fault. */
function pidNamespace(app: App, mode: string): NamespaceSource {
  const id = referencedContainer(mode);
  if (id === undefined) return mode === "host" ? "host" : "new";
  try {
    return { pid: donorPid(app, id) };
  } catch (error) {
    const { message } = toEngineError(error);
    throw internal(`failed to join PID namespace: ${message}`, { cause: error });
  }
}

function refuseUnshareable(app: App, id: string): void {
  const mode = app.registry.byId(id)?.record.hostConfig.ipcMode;
  if (mode === "private" || mode === "none") {
    throw invalidArgument(
      `container ${id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    );
  }
}

/** Errors: invalid_argument (gone), conflict (does not run). */
function donorPid(app: App, id: string): number {
  const entry = app.registry.byId(id);
  if (entry === undefined) throw invalidArgument(`No such container: ${id}`);
  const { state } = entry.record;
  if (state.status === "restarting") {
    throw conflict(`Container ${id} is restarting, wait until the container is running`);
  }
  if (!isLive(state)) throw conflict(`container ${id} is not running`);
  return pidOf(entry);
}

/** resolv.conf, hosts and hostname, unless the user has something of their own there; as writable as the root is. */
function fileMounts(
  network: PreparedNetwork,
  mounts: PreparedMounts,
  readonly: boolean,
): RuntimeMount[] {
  const taken = new Set(mounts.mounts.map((mount) => mount.destination));
  const files = [
    ["/etc/resolv.conf", network.resolvConfPath],
    ["/etc/hostname", network.hostnamePath],
    ["/etc/hosts", network.hostsPath],
  ] as const;
  return files
    .filter(([destination, source]) => source !== "" && !taken.has(destination))
    .map(([destination, source]) => ({
      destination,
      type: "bind",
      source,
      options: ["rbind", "rprivate", ...(readonly ? ["ro"] : [])],
    }));
}

function launchRequest(
  app: App,
  record: ContainerRecord,
  network: PreparedNetwork,
  input: BundleInput,
): PreparedLaunch["request"] {
  const { id, config, hostConfig, rootfs } = record;
  const paths = app.folders.paths(id);
  return {
    id,
    bundlePath: paths.bundle,
    rootfs: {
      mountpoint: rootfs.mountpoint,
      lowerDirs: [...rootfs.lowerDirs],
      upperDir: rootfs.upperDir,
      workDir: rootfs.workDir,
      readonly: hostConfig.readonlyRootfs,
    },
    interfaces: network.interfaces.map((each) => ({ ...each })),
    stdio: { openStdin: config.openStdin, stdinOnce: config.stdinOnce },
    log: logPlanOf(record, paths.log),
    user: config.user,
    additionalGroups: [...(hostConfig.groupAdd?.values ?? [])],
    exitRecordPath: paths.exitRecord,
    initBinaryPath: input.init ? app.initProgram : "",
    ...(network.names === undefined ? {} : { names: network.names }),
  };
}
