/** What the use cases work with. Made once in main.ts. */
import { type NewEvent, nowNano } from "@gantry/events";
import type { Logger } from "@gantry/logging";
import type { ShimApi, LaunchStep as ShimLaunchStep } from "@gantry/shim";
import type { RuntimeDefaults } from "../domain/bundle/bundle-input.ts";
import { type ContainerRecord, eventAttributes } from "../domain/container-record.ts";
import { isLive, type StateEvent, transition } from "../domain/container-state.ts";
import type { HostFacts } from "../domain/host-facts.ts";
import type { Archives, RootMounts } from "../ports/archives.ts";
import type { ContainerStore } from "../ports/container-store.ts";
import type { ContainerFolders, HostDevices } from "../ports/host.ts";
import type { Images } from "../ports/images.ts";
import type { LogFiles } from "../ports/logs.ts";
import type { Networking } from "../ports/networking.ts";
import type { Volumes } from "../ports/volumes.ts";
import type { Departed } from "./departed.ts";
import type { Entry } from "./entry.ts";
import type { ExecTable } from "./exec-table.ts";
import type { Registry } from "./registry.ts";

/** Defaults of daemon.json for what a create leaves open. Replaced at a reload. */
export interface CreateDefaults {
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly shmSizeBytes: number;
  readonly init: boolean;
  readonly ipcMode: string;
  readonly cgroupnsMode: "host" | "private" | undefined;
}

/** Everything. */
export interface App {
  readonly registry: Registry;
  readonly execs: ExecTable;
  readonly departed: Departed;
  readonly store: ContainerStore;
  readonly shim: ShimApi;
  readonly networking: Networking;
  readonly volumes: Volumes;
  readonly images: Images;
  readonly logs: LogFiles;
  readonly archives: Archives;
  readonly roots: RootMounts;
  readonly folders: ContainerFolders;
  readonly devices: HostDevices;
  readonly host: HostFacts;
  readonly logger: Logger;
  /** Replaced at a reload. */
  runtimeDefaults: RuntimeDefaults;
  /** Replaced at a reload. */
  createDefaults: CreateDefaults;
  /** Host path of the static init program. */
  readonly initProgram: string;
  /** Aborts when the service ends: for work that no caller waits for. */
  readonly lifetime: AbortSignal;
  /** Hears of each step of a launch that is this service's own: for tests that end it there. */
  readonly launchStep: (step: LaunchStep, shimPid: number) => void;
  /** The engine is being shut down: nothing is started any more. */
  shuttingDown: boolean;
}

/** `intended`: the state `starting` is committed. `committed`: so is `running`. Between them the shim's. */
export type LaunchStep = "intended" | ShimLaunchStep | "committed";

/** Lets the shim get ready for a process that will be started soon. */
export function expectProcess({ shim, logger }: App): void {
  void shim.expect({}).catch((error: unknown) => {
    logger.debug({ err: error }, "the shim was not told of a process to come");
  });
}

/** An event of a container, now. */
export function containerEvent(
  record: ContainerRecord,
  action: string,
  more: Readonly<Record<string, string>> = {},
): NewEvent {
  return {
    type: "container",
    action,
    actorId: record.id,
    attributes: { ...eventAttributes(record), ...more },
    timeNano: nowNano(),
  };
}

/**
 * Replaces a record in the store, then in memory. Inside the container's queue, since memory follows
 * later. Rejects, and changes nothing, when the disk refuses.
 */
export async function change(
  app: App,
  entry: Entry,
  next: ContainerRecord,
  events: readonly NewEvent[] = [],
): Promise<void> {
  await app.store.replace(entry.record, next, events);
  entry.record = next;
}

/**
 * Moves the state machine on, in the store, then in memory. Inside the container's queue. Rejects, and
 * changes nothing, when the disk refuses.
 */
export async function advance(
  app: App,
  entry: Entry,
  event: StateEvent,
  events: readonly NewEvent[] = [],
  more: Partial<ContainerRecord> = {},
): Promise<void> {
  const next = { ...entry.record, ...more, state: transition(entry.record.state, event) };
  logTransition(app, entry, next, event.type);
  await change(app, entry, next, events);
}

/**
 * As advance, for what has happened: memory changes within this call in any case, and the disk follows.
 * Resolves when the disk has it, or has refused it for now. Never rejects.
 */
export function advanceSurely(
  app: App,
  entry: Entry,
  event: StateEvent,
  events: readonly NewEvent[] = [],
  more: Partial<ContainerRecord> = {},
): Promise<void> {
  const next = { ...entry.record, ...more, state: transition(entry.record.state, event) };
  logTransition(app, entry, next, event.type);
  const written = app.store.replaceSurely(entry.record, next, events);
  entry.record = next;
  return written;
}

function logTransition(app: App, entry: Entry, next: ContainerRecord, reason: string): void {
  const fields = {
    container: entry.id,
    from: entry.record.state.status,
    to: next.state.status,
    reason,
  };
  app.logger.debug(fields, "container state");
}

/** Tells image-service which images are in use; the client sends only the newest list. */
export function announceImageUse(app: App): void {
  app.images.setUsers(() =>
    app.registry.list().flatMap(({ record }) => {
      const use = { containerId: record.id, running: isLive(record.state) };
      const { id: imageId, reference, manifest } = record.image;
      const mounted = app.volumes
        .mountedImages(record.id)
        .map(({ id, manifestDigest }) => ({ ...use, imageId: id, reference: "", manifestDigest }));
      return [{ ...use, imageId, reference, manifestDigest: manifest.digest }, ...mounted];
    }),
  );
}
