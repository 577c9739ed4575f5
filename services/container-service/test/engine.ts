/** container-service as a real process with the fake image-service, and what tests do with it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { servicePaths } from "@gantry/config";
import { type ErrorKind, resolveKind } from "@gantry/errors";
import {
  type ContainerConfigSchema,
  ContainerService,
  type ContainerState,
  type CreateContainerRequestSchema,
  ExecService,
  type HostConfigSchema,
} from "@gantry/proto/container";
import { EventService } from "@gantry/proto/event";
import { NetworkService } from "@gantry/proto/network";
import { SystemService } from "@gantry/proto/system";
import { VolumeService } from "@gantry/proto/volume";
import {
  type Channel,
  connectData,
  type DataTarget,
  openChannel,
  type ServiceClient,
} from "@gantry/rpc";
import {
  type EngineRoots,
  eventually,
  findLeaks,
  openEngineRoots,
  type ServiceProcess,
  startService,
} from "@gantry/testkit";
import { type FakeImages, startFakeImages } from "./fake-images.ts";

// Init shapes also take whole messages; tests only write plain objects.
type Plain<T> = Exclude<T, { $typeName: string }>;

/** Parts of a create call. */
export interface CreateInit
  extends Omit<
    Plain<MessageInitShape<typeof CreateContainerRequestSchema>>,
    "config" | "hostConfig"
  > {
  readonly config?: Plain<MessageInitShape<typeof ContainerConfigSchema>>;
  readonly hostConfig?: Plain<MessageInitShape<typeof HostConfigSchema>>;
}

/** A running service with its clients. */
export interface TestEngine extends AsyncDisposable {
  readonly roots: EngineRoots;
  readonly images: FakeImages;
  readonly containers: ServiceClient<typeof ContainerService>;
  readonly execs: ServiceClient<typeof ExecService>;
  readonly networks: ServiceClient<typeof NetworkService>;
  readonly volumes: ServiceClient<typeof VolumeService>;
  readonly system: ServiceClient<typeof SystemService>;
  readonly events: ServiceClient<typeof EventService>;
  readonly service: () => ServiceProcess;
  /** kill -9 and start again. */
  crash(): Promise<void>;
  /** Creates a busybox container on no network that runs a shell script. */
  create(script: string, more?: CreateInit): Promise<string>;
  /** Starts, waits for the end; returns the exit code. */
  run(id: string): Promise<number>;
  stateOf(id: string): Promise<ContainerState>;
  /** Starts it; the answer may be lost with the service, or be another error that is expected. */
  tryStart(id: string, expected?: readonly ErrorKind[]): Promise<void>;
  /** Resolves when its log holds a text. */
  said(id: string, text: string): Promise<void>;
  /** Actions of a container's events so far, oldest first. */
  actions(id: string): Promise<string[]>;
  /** Stops everything and lists what is left on the machine. */
  shutdown(): Promise<string[]>;
}

export async function startEngine(
  daemon: Record<string, unknown> = {},
  env: Record<string, string> = {},
): Promise<TestEngine> {
  const roots = await openEngineRoots({ daemon, env: { GANTRY_LOG_LEVEL: "debug", ...env } });
  const images = await startFakeImages(roots);
  let service = await startService({ roots, name: "container-service" }).catch(
    async (error: unknown) => {
      await images[Symbol.asyncDispose]();
      throw error;
    },
  );
  const channel: Channel = openChannel(servicePaths(roots.config, "container-service").grpcSocket);
  const containers = channel.client(ContainerService);
  const events = channel.client(EventService);
  const system = channel.client(SystemService);
  let ended = false;
  const engine: TestEngine = {
    roots,
    images,
    containers,
    events,
    system,
    execs: channel.client(ExecService),
    networks: channel.client(NetworkService),
    volumes: channel.client(VolumeService),
    service: () => service,
    async crash() {
      await service.end("SIGKILL");
      service = await startService({ roots, name: "container-service" });
      await channel.ready(10_000);
    },
    async create(script, more = {}) {
      const { id } = await containers.createContainer({
        ...more,
        config: { image: "busybox", cmd: { values: ["sh", "-c", script] }, ...more.config },
        hostConfig: { networkMode: "none", ...more.hostConfig },
      });
      return id;
    },
    async run(id) {
      const wait = containers
        .waitContainer({ container: id, condition: "next-exit" })
        [Symbol.asyncIterator]();
      await wait.next();
      await containers.startContainer({ container: id });
      const { value } = await wait.next();
      return value.exitCode;
    },
    async stateOf(id) {
      const { container } = await containers.inspectContainer({ container: id });
      assert.ok(container?.state);
      return container.state;
    },
    async tryStart(id, expected = []) {
      try {
        await containers.startContainer({ container: id });
      } catch (error) {
        const kind = resolveKind(error);
        const known: readonly ErrorKind[] = ["unavailable", "canceled", ...expected];
        assert.ok(known.includes(kind), `${kind}: ${String(error)}`);
      }
    },
    async said(id, text) {
      await eventually(async () => {
        const { data } = await containers.openLogs({ container: id, stdout: true });
        assert.ok(data);
        return (await readAll(data)).includes(text);
      });
    },
    async actions(id) {
      const found: string[] = [];
      const request = { sinceNano: 1n, untilNano: BigInt(Date.now() + 2) * 1_000_000n };
      for await (const { event } of events.subscribe(request)) {
        const actor = event?.actorId === id ? "" : `${event?.type ?? ""} `;
        if (event?.actorId === id || event?.attributes["container"] === id) {
          found.push(`${actor}${event.action}`);
        }
      }
      return found;
    },
    async shutdown() {
      ended = true;
      await system.shutdown({});
      await service.end();
      await images[Symbol.asyncDispose]();
      const { config } = roots;
      return await findLeaks({
        root: roots.path,
        cgroupParent: config.cgroupParent,
        linkPrefix: config.linkPrefix,
        nftTable: config.nftTable,
      });
    },
    async [Symbol.asyncDispose]() {
      if (!ended) {
        const leaks = await engine.shutdown();
        if (leaks.length > 0) throw new Error(`left behind: ${leaks.join(", ")}`);
      }
      channel.close();
      await service.end("SIGKILL");
      await roots.close();
    },
  };
  return engine;
}

/** Everything that comes over a data connection. */
export async function readAll(target: DataTarget, input?: string): Promise<Buffer> {
  const socket = await connectData(target);
  if (input !== undefined) socket.end(input);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Payloads of Docker's frames, by stream. */
export function unframe(bytes: Buffer): { readonly stdout: string; readonly stderr: string } {
  const text = { stdout: "", stderr: "" };
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    const payload = bytes.toString("utf8", at + 8, at + 8 + length);
    if (bytes[at] === 2) text.stderr += payload;
    else text.stdout += payload;
    at += 8 + length;
  }
  return text;
}

/** One file of /proc of a process. */
export function procFile(pid: number, file: string): string {
  return readFileSync(`/proc/${String(pid)}/${file}`, "utf8");
}
