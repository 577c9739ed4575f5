/** A container as gantry.container.v1.Container. From memory only. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ContainerSchema, ContainerStateSchema, HealthSchema } from "@gantry/proto/container";
import type { EndpointSettingsSchema } from "@gantry/proto/network";
import type { App } from "../app/context.ts";
import { type Entry, pidOf } from "../app/entry.ts";
import { apparmorProfileOf } from "../domain/bundle/build-process.ts";
import { type ContainerRecord, statusOf } from "../domain/container-record.ts";
import { isLive, isRunning } from "../domain/container-state.ts";
import type { Health } from "../domain/health.ts";
import { linkNames, shownLinks } from "../domain/link-names.ts";
import { parseSecurityOptions } from "../domain/security-options.ts";

// Init shapes also take whole messages; here only plain objects are made.
type ContainerMessage = Exclude<MessageInitShape<typeof ContainerSchema>, { $typeName: string }>;

/** Sizes, when they were asked for. */
export interface Sizes {
  readonly ownBytes: bigint;
  readonly totalBytes: bigint;
}

export function containerMessage(app: App, entry: Entry, sizes?: Sizes): ContainerMessage {
  const { record } = entry;
  const { id, name, image } = record;
  return {
    id,
    name,
    createdNano: record.createdNano,
    path: record.path,
    args: [...record.args],
    state: stateMessage(entry, healthMessage),
    imageId: image.id,
    ...manifestMessage(record),
    ...filePaths(app, record),
    restartCount: record.restartCount,
    platform: image.os,
    apparmorProfile: apparmorOf(app, record),
    execIds: liveExecIds(app, id),
    hostConfig: hostConfigMessage(app, record),
    config: configMessage(app, record),
    networkSettings: networkMessage(app, id, endpointMessage),
    mounts: [...app.volumes.mountPoints(id)],
    snapshotName: id,
    ...sizeMessage(sizes),
    linkNames: namesByLinks(app, record),
    imageDisplay: entry.imageDisplay,
    manuallyStopped: record.manuallyStopped,
  };
}

/** The container's MAC address is the one that was asked of its primary endpoint. */
function configMessage(app: App, { id, config }: ContainerRecord): ContainerMessage["config"] {
  const macAddress = config.macAddress || app.networking.askedMac(id);
  return { ...config, macAddress };
}

function hostConfigMessage(app: App, record: ContainerRecord): ContainerMessage["hostConfig"] {
  const { hostConfig } = record;
  const { links, networkMode } = hostConfig;
  if (links === undefined) return hostConfig;
  // On other networks links are the endpoint's, and only that shows them.
  if (networkMode !== "bridge") return { ...hostConfig, links: undefined };
  const all = app.registry.all().map((each) => each.record);
  return { ...hostConfig, links: { ...links, values: shownLinks(all, record) } };
}

/** Execs of a container that have not ended. */
function liveExecIds(app: App, id: string): string[] {
  const live = app.execs.of(id).filter(({ record }) => record.state.status !== "ended");
  return live.map(({ record }) => record.id);
}

function apparmorOf(app: App, { hostConfig }: ContainerRecord): string {
  if (app.runtimeDefaults.apparmorProfile === "") return "";
  const security = parseSecurityOptions(hostConfig.securityOpt?.values ?? []);
  return apparmorProfileOf(hostConfig.privileged, app.runtimeDefaults, security);
}

/** As containerMessage, with as much as lists show: the rest would be most of the work and of the bytes. */
export function containerSummary(app: App, entry: Entry, sizes?: Sizes): ContainerMessage {
  const { record } = entry;
  const { id, name, config, hostConfig } = record;
  return {
    id,
    name,
    createdNano: record.createdNano,
    path: record.path,
    args: [...record.args],
    state: stateMessage(entry, healthSummary),
    imageId: record.image.id,
    ...manifestMessage(record),
    hostConfig: { networkMode: hostConfig.networkMode, annotations: hostConfig.annotations },
    config: { image: config.image, labels: config.labels },
    networkSettings: networkMessage(app, id, endpointSummary),
    mounts: [...app.volumes.mountPoints(id)],
    ...sizeMessage(sizes),
    linkNames: namesByLinks(app, record),
    imageDisplay: entry.imageDisplay,
  };
}

function sizeMessage(
  sizes: Sizes | undefined,
): Pick<ContainerMessage, "sizeRwBytes" | "sizeRootfsBytes"> {
  return sizes === undefined
    ? {}
    : { sizeRwBytes: sizes.ownBytes, sizeRootfsBytes: sizes.totalBytes };
}

function namesByLinks(app: App, record: ContainerRecord): string[] {
  return linkNames(
    app.registry.linking().map((each) => each.record),
    record,
  );
}

function manifestMessage(
  record: ContainerRecord,
): Pick<ContainerMessage, "imageManifestDescriptor"> {
  const { manifest } = record.image;
  if (manifest.digest === "") return {};
  const { mediaType, digest, sizeBytes, os, architecture, variant } = manifest;
  return {
    imageManifestDescriptor: {
      mediaType,
      digest,
      sizeBytes: BigInt(sizeBytes),
      platform: { os, architecture, variant },
    },
  };
}

/** Files on the host exist from the first start on. */
function filePaths(app: App, record: ContainerRecord) {
  const { state, hostConfig, id } = record;
  const started = isRunning(state) || state.past.startedAtNano !== 0n;
  if (!started) return {};
  const { dir, log } = app.folders.paths(id);
  const hasLog = hostConfig.logConfig?.type === "json-file";
  return {
    resolvConfPath: `${dir}/resolv.conf`,
    hostnamePath: `${dir}/hostname`,
    hostsPath: `${dir}/hosts`,
    logPath: hasLog ? log : "",
  };
}

type HealthShape = MessageInitShape<typeof HealthSchema>;

function stateMessage(
  entry: Entry,
  ofHealth: (health: Health) => HealthShape,
): MessageInitShape<typeof ContainerStateSchema> {
  const { record } = entry;
  const { state } = record;
  const { past } = state;
  const live = isLive(state);
  return {
    status: statusOf(record),
    running: isRunning(state),
    paused: state.status === "paused",
    restarting: statusOf(record) === "restarting",
    oomKilled: live ? false : past.oomKilled,
    dead: state.status === "dead",
    pid: pidOf(entry),
    exitCode: live ? 0 : past.exitCode,
    error: live ? "" : past.error,
    startedAtNano: live ? state.run.startedAtNano : past.startedAtNano,
    finishedAtNano: past.finishedAtNano,
    ...(entry.health === undefined ? {} : { health: ofHealth(entry.health) }),
  };
}

function healthSummary({ status, failingStreak }: Health): HealthShape {
  return { status, failingStreak };
}

function healthMessage(health: Health): HealthShape {
  return {
    status: health.status,
    failingStreak: health.failingStreak,
    log: health.log.map((probe) => ({ ...probe })),
  };
}

function networkMessage(
  app: App,
  id: string,
  ofEndpoint: (view: EndpointView) => EndpointShape,
): ContainerMessage["networkSettings"] {
  const { sandboxId, sandboxKey, ports, networks } = app.networking.settings(id);
  return {
    sandboxId,
    sandboxKey,
    ports: ports.map(({ port, bindings }) => ({ port, bindings: [...bindings] })),
    networks: Object.fromEntries(
      Object.entries(networks).map(([name, view]) => [name, ofEndpoint(view)]),
    ),
  };
}

type EndpointView = ReturnType<App["networking"]["settings"]>["networks"][string];
type EndpointShape = MessageInitShape<typeof EndpointSettingsSchema>;

/** Docker's lists know of what was wished for only the addresses. */
function endpointSummary(view: EndpointView): EndpointShape {
  const { ipamConfig, links, aliases, driverOpts, dnsNames, ...others } = view;
  const { hasLinks, hasAliases, hasDriverOpts, ...rest } = others;
  if (ipamConfig === undefined) return rest;
  const { ipv4Address, ipv6Address } = ipamConfig;
  return { ...rest, ipamConfig: { ipv4Address, ipv6Address } };
}

function endpointMessage(view: EndpointView): EndpointShape {
  const { ipamConfig, links, aliases, driverOpts, dnsNames, ...rest } = view;
  return {
    ...rest,
    links: [...links],
    aliases: [...aliases],
    driverOpts: { ...driverOpts },
    dnsNames: [...dnsNames],
    ...(ipamConfig === undefined
      ? {}
      : { ipamConfig: { ...ipamConfig, linkLocalIps: [...ipamConfig.linkLocalIps] } }),
  };
}
