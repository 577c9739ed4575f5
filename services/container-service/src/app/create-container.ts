/**
 * Create: checks everything, takes name, image, snapshot and volumes, and writes the record. What
 * fails is undone in the reverse order, so that nothing is left of a refused container.
 */
import { randomInt } from "node:crypto";
import { type EngineError, invalidArgument } from "@gantry/errors";
import { nowNano } from "@gantry/events";
import { newId, parseContainerName, shortId } from "../domain/container-id.ts";
import type { ContainerRecord } from "../domain/container-record.ts";
import { neverRan } from "../domain/container-state.ts";
import { generateName } from "../domain/generated-names.ts";
import { commandOf, mergeImageConfig, parseImageConfig } from "../domain/image-config.ts";
import type { ContainerConfig, HostConfig } from "../domain/nouns.ts";
import { validateConfig } from "../domain/validate/validate-config.ts";
import { validateHostConfig, validateLogConfig } from "../domain/validate/validate-host-config.ts";
import type { ResolvedImage } from "../ports/images.ts";
import type { EndpointRequest } from "../ports/networking.ts";
import { type App, announceImageUse, containerEvent, expectProcess } from "./context.ts";
import { completeHostConfig } from "./create-defaults.ts";
import { resolveNamespaceReferences } from "./namespace-references.ts";

/** What a user asks for. */
export interface CreateRequest {
  /** Empty: one is made up. */
  readonly name: string;
  /** `os[/arch[/variant]]` or empty. */
  readonly platform: string;
  readonly config: ContainerConfig | undefined;
  readonly hostConfig: HostConfig;
  readonly endpoints: Readonly<Record<string, EndpointRequest>>;
  /** Docker API version of the caller, empty = newest. */
  readonly apiVersion: string;
  /** A step of a build over this layer (empty: over nothing); undefined: an ordinary container. */
  readonly parentLayer: string | undefined;
}

/** What a user gets. */
export interface CreateResult {
  readonly id: string;
  readonly warnings: readonly string[];
}

export async function createContainer(
  app: App,
  request: CreateRequest,
  signal: AbortSignal,
): Promise<CreateResult> {
  const { config } = request;
  if (config === undefined) {
    throw invalidArgument("config cannot be empty in order to create a container");
  }
  validateConfig(config);
  validateHostConfig(request.hostConfig);
  const completed = completeHostConfig(app, resolveNamespaceReferences(app, request.hostConfig));
  const { logConfig } = completed.hostConfig;
  validateLogConfig(logConfig?.type ?? "", logConfig?.config ?? {});
  const id = newId();
  // Most are started at once.
  expectProcess(app);
  await using undo = new AsyncDisposableStack();
  const name = request.parentLayer === undefined ? takeName(app, request.name, id) : id;
  undo.defer(() => {
    app.registry.releaseName(name, id);
  });
  const draft = { id, name, config, completed, request };
  const result = await makeContainer(app, draft, undo, signal);
  undo.move();
  announceImageUse(app);
  return result;
}

interface Draft {
  readonly id: string;
  readonly name: string;
  readonly config: ContainerConfig;
  readonly completed: ReturnType<typeof completeHostConfig>;
  readonly request: CreateRequest;
}

async function makeContainer(
  app: App,
  draft: Draft,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<CreateResult> {
  const { id, request } = draft;
  undo.defer(() => app.images.discard(id));
  const resolved = await findImage(app, draft, signal);
  const base = withoutMounts(app, draft, resolved);
  undo.defer(() => {
    app.networking.forget(id);
  });
  // What was asked for: a default host name and ports of the image are in nobody's way.
  const { hostname, exposedPorts } = draft.config;
  const asked = { ...base, config: { ...base.config, hostname, exposedPorts } };
  const declared = app.networking.declare(asked, request.endpoints, request.apiVersion);
  const rootfs = await app.images.prepareSnapshot(id, resolved.image.chainId, signal);
  await app.folders.make(id);
  undo.defer(() => app.folders.remove(id));
  const hostConfig = { ...base.hostConfig, networkMode: declared.networkMode };
  const record: ContainerRecord = { ...base, hostConfig, rootfs };
  undo.defer(() => app.volumes.detach(id, true));
  const attached = await app.volumes.attach(
    mountedContainer(record),
    rootfs,
    request.apiVersion,
    signal,
  );
  if (attached.lacksWorkingDir) await makeWorkingDir(app, record);
  undo.defer(async () => {
    await app.shim.delete({ id });
  });
  await app.shim.prepare({ id });
  await app.store.insert(record, [containerEvent(record, "create")]);
  app.registry.add(record);
  await app.store.synced();
  const platform = platformWarnings(app, draft, resolved);
  return {
    id,
    warnings: [
      ...platform,
      ...draft.completed.warnings,
      ...declared.warnings,
      ...attached.warnings,
    ],
  };
}

/** It is there before the first start, as what the container has changed (`docker diff`, `commit`, `cp`). */
async function makeWorkingDir(app: App, { id, rootfs, config }: ContainerRecord): Promise<void> {
  await using _root = await app.roots.mount(id, rootfs, [], [config.workingDir]);
}

function platformWarnings({ host }: App, draft: Draft, resolved: ResolvedImage): string[] {
  if (resolved.foreignPlatform === "" || draft.request.platform !== "") return [];
  return [
    `The requested image's platform (${resolved.foreignPlatform}) does not match the detected host platform ` +
      `(${host.platform}) and no specific platform was requested`,
  ];
}

/** A step of a build brings its whole configuration with it. */
async function findImage(app: App, draft: Draft, signal: AbortSignal): Promise<ResolvedImage> {
  const { id, config, request } = draft;
  if (request.parentLayer === undefined) {
    // There is no image that could have one.
    if (config.image === "" && commandOf(config) === undefined) throw noCommand();
    return await app.images.resolve(config.image, request.platform, id, signal);
  }
  const machine = { os: "linux", architecture: "", variant: "" };
  const manifest = { mediaType: "", digest: "", sizeBytes: 0, ...machine };
  const image = { reference: config.image, id: "", manifest, chainId: request.parentLayer };
  return {
    image: { ...image, os: "linux", architecture: "" },
    config: parseImageConfig(new Uint8Array()),
    foreignPlatform: "",
  };
}

function noCommand(): EngineError {
  return invalidArgument("no command specified");
}

/** The record but for its root file system, which is asked for last. */
function withoutMounts(app: App, draft: Draft, resolved: ResolvedImage): ContainerRecord {
  const { id, name, completed } = draft;
  const merged = mergeImageConfig(draft.config, resolved.config);
  const command = commandOf(merged);
  // An empty name is a program that the start does not find.
  if (command === undefined) throw noCommand();
  const config: ContainerConfig = {
    ...draft.config,
    ...merged,
    hostname: draft.config.hostname || defaultHostname(app, id, completed.hostConfig),
  };
  validateConfig(config);
  return {
    id,
    name,
    config,
    hostConfig: completed.hostConfig,
    createdNano: nowNano(),
    ...command,
    image: resolved.image,
    rootfs: { lowerDirs: [], upperDir: "", workDir: "", mountpoint: "" },
    state: { status: "created", past: neverRan },
    restartCount: 0,
    manuallyStopped: false,
    ...(draft.request.parentLayer !== undefined && { buildStep: true as const }),
  };
}

function defaultHostname(app: App, id: string, hostConfig: HostConfig): string {
  return hostConfig.networkMode === "host" ? app.host.hostname : shortId(id);
}

function mountedContainer(record: ContainerRecord) {
  const { id, config, hostConfig } = record;
  return {
    id,
    volumes: config.volumes,
    binds: hostConfig.binds,
    mounts: hostConfig.mounts,
    tmpfs: hostConfig.tmpfs,
    volumesFrom: hostConfig.volumesFrom,
    volumeDriver: hostConfig.volumeDriver,
    workingDir: config.workingDir,
  };
}

const nameAttempts = 6;

/** Takes a name for an ID; an empty one is generated. */
export function takeName(app: App, given: string, id: string): string {
  if (given !== "") {
    const name = parseContainerName(given);
    app.registry.takeName(name, id);
    return name;
  }
  for (let attempt = 0; attempt < nameAttempts; attempt++) {
    const name = generateName(attempt, (bound) => randomInt(bound));
    if (!app.registry.isFree(name)) continue;
    app.registry.takeName(name, id);
    return name;
  }
  app.registry.takeName(shortId(id), id);
  return shortId(id);
}
