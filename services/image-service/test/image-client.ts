/** A running image-service with typed clients, for tests. */
import { once } from "node:events";
import { servicePaths } from "@gantry/config";
import { EventService } from "@gantry/proto/event";
import type { ProgressMessage } from "@gantry/proto/image";
import { ContentService, ImageService, SnapshotService } from "@gantry/proto/image";
import { type Channel, connectData, openChannel, type ServiceClient } from "@gantry/rpc";
import {
  type EngineRoots,
  type EngineRootsOptions,
  openEngineRoots,
  type ServiceProcess,
  startService,
} from "@gantry/testkit";

/** Clients of one process. */
export interface TestService extends AsyncDisposable {
  readonly roots: EngineRoots;
  readonly process: ServiceProcess;
  readonly images: ServiceClient<typeof ImageService>;
  readonly content: ServiceClient<typeof ContentService>;
  readonly snapshots: ServiceClient<typeof SnapshotService>;
  readonly events: ServiceClient<typeof EventService>;
  /** Folder of the service's data. */
  readonly dataDir: string;
  /** Ends the process (by default SIGKILL) and starts it again on the same data. */
  restart(signal?: NodeJS.Signals, env?: Readonly<Record<string, string>>): Promise<void>;
}

export async function openImageService(
  options: EngineRootsOptions & { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<TestService> {
  const roots = await openEngineRoots(options);
  return wrap(roots);
}

async function wrap(roots: EngineRoots): Promise<TestService> {
  let process = await startService({ roots, name: "image-service" });
  let channel: Channel = openChannel(servicePaths(roots.config, "image-service").grpcSocket);
  const open = () => ({
    images: channel.client(ImageService),
    content: channel.client(ContentService),
    snapshots: channel.client(SnapshotService),
    events: channel.client(EventService),
  });
  let clients = open();
  return {
    roots,
    get process() {
      return process;
    },
    get images() {
      return clients.images;
    },
    get content() {
      return clients.content;
    },
    get snapshots() {
      return clients.snapshots;
    },
    get events() {
      return clients.events;
    },
    dataDir: servicePaths(roots.config, "image-service").dataDir,
    async restart(signal = "SIGKILL", env = {}) {
      channel[Symbol.dispose]();
      await process.end(signal);
      process = await startService({ roots, name: "image-service", env });
      channel = openChannel(servicePaths(roots.config, "image-service").grpcSocket);
      clients = open();
    },
    async [Symbol.asyncDispose]() {
      channel[Symbol.dispose]();
      await process.end("SIGTERM");
      await roots.close();
    },
  };
}

/** Loads an archive; returns all progress. */
export async function load(
  service: TestService,
  archive: Uint8Array,
  options: {
    readonly quiet?: boolean;
    readonly platforms?: { os: string; architecture: string }[];
  } = {},
): Promise<ProgressMessage[]> {
  return upload(
    service.images.loadImages({ quiet: options.quiet ?? true, platforms: options.platforms ?? [] }),
    archive,
  );
}

interface Response {
  readonly data?: { readonly path: string; readonly ticket: Uint8Array } | undefined;
  readonly progress?: ProgressMessage | undefined;
}

/** Sends bytes to the endpoint that a call's first response names. */
export async function upload(
  responses: AsyncIterable<Response>,
  bytes: Uint8Array,
): Promise<ProgressMessage[]> {
  const progress: ProgressMessage[] = [];
  for await (const response of responses) {
    if (response.data !== undefined) {
      const socket = await connectData(response.data);
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(bytes);
    }
    if (response.progress !== undefined) progress.push(response.progress);
  }
  return progress;
}

/** Saves images; returns the archive. */
export async function save(service: TestService, images: readonly string[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const { data } of service.images.saveImages({ images: [...images] })) {
    if (data === undefined) continue;
    const socket = await connectData(data);
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(socket, "end");
    socket.end();
  }
  return Buffer.concat(chunks);
}

/** All text of `stream` messages. */
export function textOf(progress: readonly ProgressMessage[]): string {
  return progress.map(({ stream }) => stream).join("");
}
