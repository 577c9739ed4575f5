/** A gateway in this process between fakes and real clients. */
import { servicePaths } from "@gantry/config";
import { silentLogger } from "@gantry/logging";
import { type EngineRoots, type EngineRootsOptions, openEngineRoots } from "@gantry/testkit";
import { type Gateway, openGateway } from "../../src/gateway.ts";
import { FakeContainerService } from "./container-service.ts";
import { FakeImageService } from "./image-service.ts";

/** Everything of one test file. */
export interface Stack extends AsyncDisposable {
  readonly roots: EngineRoots;
  readonly socket: string;
  readonly containers: FakeContainerService;
  readonly images: FakeImageService;
  readonly gateway: Gateway;
  /** Starts the fakes again after stop(). */
  restartContainers(): Promise<void>;
  restartImages(): Promise<void>;
}

/** Starts it. */
export async function openStack(
  options: EngineRootsOptions & { readonly maxConnections?: number } = {},
): Promise<Stack> {
  const roots = await openEngineRoots(options);
  const { config } = roots;
  const containerPaths = servicePaths(config, "container-service");
  const imagePaths = servicePaths(config, "image-service");
  const containers = await FakeContainerService.start(
    containerPaths.grpcSocket,
    containerPaths.dataSocket,
  );
  const images = await FakeImageService.start(imagePaths.grpcSocket, imagePaths.dataSocket);
  const gateway = await openGateway({
    config,
    logger: silentLogger(),
    ...(options.maxConnections !== undefined && { maxConnections: options.maxConnections }),
  });
  return {
    roots,
    socket: config.dockerSocket,
    containers,
    images,
    gateway,
    restartContainers: () =>
      containers.listen(containerPaths.grpcSocket, containerPaths.dataSocket),
    restartImages: () => images.listen(imagePaths.grpcSocket, imagePaths.dataSocket),
    async [Symbol.asyncDispose]() {
      await gateway.close();
      await containers.stop();
      await images.stop();
      await roots.close();
    },
  };
}
