/**
 * The services behind the gateway. Handlers see these typed clients only, so that tests can put
 * anything in their place.
 */
import { BuildkitService, BuildService } from "@gantry/proto/build";
import {
  ContainerService,
  ExecService,
  type ListContainersRequestSchema,
} from "@gantry/proto/container";
import { EventService } from "@gantry/proto/event";
import { ImageService, type ListImagesRequestSchema } from "@gantry/proto/image";
import { NetworkService } from "@gantry/proto/network";
import { SystemService } from "@gantry/proto/system";
import { VolumeService } from "@gantry/proto/volume";
import { type Channel, openChannel, type RowsCaller, type ServiceClient } from "@gantry/rpc";
import { wake } from "./wake.ts";

/** Clients of everything that the Docker API needs. A call to a service that is down throws `unavailable`. */
export interface Backends {
  readonly containers: ServiceClient<typeof ContainerService>;
  readonly execs: ServiceClient<typeof ExecService>;
  readonly networks: ServiceClient<typeof NetworkService>;
  readonly volumes: ServiceClient<typeof VolumeService>;
  readonly system: ServiceClient<typeof SystemService>;
  readonly images: ServiceClient<typeof ImageService>;
  readonly buildkit: ServiceClient<typeof BuildkitService>;
  readonly builds: ServiceClient<typeof BuildService>;
  /** listContainers, each gantry.container.v1.Container encoded. */
  readonly containerRows: RowsCaller<typeof ListContainersRequestSchema>;
  /** listImages, each gantry.image.v1.Image encoded. */
  readonly imageRows: RowsCaller<typeof ListImagesRequestSchema>;
  /** Has the builder started, which ends when nobody wants it. Throws unavailable. */
  wakeBuilder(signal: AbortSignal): Promise<void>;
  /** Every service that keeps an event log. */
  readonly eventSources: readonly EventSource[];
}

/** One event log. */
export interface EventSource {
  /** Name of its service. */
  readonly name: string;
  readonly client: ServiceClient<typeof EventService>;
  /** Resolves when the service accepts calls; throws `unavailable` after `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>;
}

/** One warm channel per service. */
export interface BackendChannels extends Disposable {
  readonly containerService: Channel;
  readonly imageService: Channel;
  readonly buildService: Channel;
  readonly backends: Backends;
}

/** Sockets of the services. */
export interface BackendSockets {
  readonly containerService: string;
  readonly imageService: string;
  readonly buildService: string;
  /** Where the builder is asked for. */
  readonly buildWake: string;
}

/**
 * A call waits so long for a service that is away: longer than a channel takes to find one that is back,
 * short enough that a client learns soon of one that isn't.
 */
const patienceMs = 300;
/**
 * A service that was killed is back within a second on a machine that is not busy, and within four on two cores that
 * have four times as much to do as they can.
 */
const restartMs = 10_000;
/** A start of the builder takes some hundred milliseconds. */
const wakeTimeoutMs = 20_000;

/** Opens the channels in the background; services may start later, and again. */
export function openBackends(sockets: BackendSockets): BackendChannels {
  const containerService = openChannel(sockets.containerService, {
    patienceMs,
    restartMs,
    ttrpc: true,
  });
  const imageService = openChannel(sockets.imageService, { patienceMs, restartMs, ttrpc: true });
  const buildService = openChannel(sockets.buildService, {
    patienceMs,
    onDemand: true,
    ttrpc: true,
  });
  const buildkit = buildService.client(BuildkitService);
  const wakeBuilder = async (signal: AbortSignal): Promise<void> => {
    // One build opens six or more connections to it.
    if (buildService.isReady) return;
    const woken = await wake(sockets.buildWake, signal);
    await buildService.ready(woken ? wakeTimeoutMs : patienceMs);
  };
  return {
    containerService,
    imageService,
    buildService,
    backends: {
      containers: containerService.client(ContainerService),
      execs: containerService.client(ExecService),
      networks: containerService.client(NetworkService),
      volumes: containerService.client(VolumeService),
      system: containerService.client(SystemService),
      images: imageService.client(ImageService),
      buildkit: {
        async openControl(request, options) {
          await wakeBuilder(options?.signal ?? new AbortController().signal);
          return await buildkit.openControl(request, options);
        },
        async openSession(request, options) {
          await wakeBuilder(options?.signal ?? new AbortController().signal);
          return await buildkit.openSession(request, options);
        },
      },
      builds: buildService.client(BuildService),
      containerRows: containerService.rows(ContainerService.method.listContainers),
      imageRows: imageService.rows(ImageService.method.listImages),
      wakeBuilder,
      eventSources: [
        eventSource("container-service", containerService),
        eventSource("image-service", imageService),
      ],
    },
    [Symbol.dispose]() {
      containerService.close();
      imageService.close();
      buildService.close();
    },
  };
}

function eventSource(name: string, channel: Channel): EventSource {
  return { name, client: channel.client(EventService), ready: (ms) => channel.ready(ms) };
}
