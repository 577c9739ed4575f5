/** An image-service in memory. */
import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { buffer } from "node:stream/consumers";
import { create } from "@bufbuild/protobuf";
import { notFound, unauthenticated } from "@gantry/errors";
import { silentLogger } from "@gantry/logging";
import { type Image, ImageSchema, ImageService } from "@gantry/proto/image";
import {
  type DataListener,
  type Implementation,
  implement,
  openDataListener,
  serveGrpc,
} from "@gantry/rpc";
import { type EventInit, fakeEvents } from "./event-service.ts";
import type { Seen } from "./seen.ts";

/** Bytes that tell their place. */
const big = Buffer.from(
  Uint32Array.from({ length: 4 * 1024 * 1024 }, (_, i) => i * 2_654_435_761).buffer,
);

/** The fake. */
export class FakeImageService implements AsyncDisposable {
  readonly images = new Map<string, Image>();
  readonly seen: Seen[] = [];
  readonly events: EventInit[] = [];
  readonly eventAdded = new EventEmitter();
  readonly uploads: Buffer[] = [];
  /** Bytes of saves that were taken by the gateway. */
  saving = 0;
  /** What a save of `big` has. */
  readonly bigDigest = createHash("sha256").update(big).digest("hex");
  /** Pulls that were canceled. */
  canceled = 0;
  readonly #stop: (() => Promise<void>)[] = [];
  #data!: DataListener;

  static async start(socketPath: string, dataPath: string): Promise<FakeImageService> {
    const fake = new FakeImageService();
    fake.eventAdded.setMaxListeners(0);
    fake.images.set(
      "busybox",
      create(ImageSchema, {
        id: `sha256:${"a".repeat(64)}`,
        target: {
          mediaType: "application/vnd.oci.image.index.v1+json",
          digest: `sha256:${"a".repeat(64)}`,
          sizeBytes: 100n,
        },
        repoTags: ["busybox:latest"],
        repoDigests: [],
        createdNano: 1_700_000_000_123_000_000n,
        sizeBytes: 4_000_000n,
        sharedSizeBytes: -1n,
        diffIds: ["sha256:cc"],
        platform: { os: "linux", architecture: "amd64" },
        configJson: Buffer.from(
          JSON.stringify({ author: "me", config: { Cmd: ["sh"], Env: ["PATH=/bin"] } }),
        ),
      }),
    );
    await fake.listen(socketPath, dataPath);
    return fake;
  }

  async listen(socketPath: string, dataPath: string): Promise<void> {
    this.#data = await openDataListener({ socketPath: dataPath, logger: silentLogger() });
    const server = await serveGrpc({
      socketPath,
      services: [this.service(), fakeEvents(this.events, this.eventAdded, "image-service")],
      logger: silentLogger(),
    });
    this.#stop.push(
      () => server.close(0),
      () => this.#data.close(),
    );
  }

  async stop(): Promise<void> {
    for (const stop of this.#stop.splice(0)) await stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  addEvent(event: EventInit): void {
    this.events.push({ ...event, service: "image-service", seq: BigInt(this.events.length + 1) });
    this.eventAdded.emit("added");
  }

  private find(name: string): Image {
    const image = this.images.get(name.replace(/:latest$/, ""));
    if (image === undefined) throw notFound("image", `${name}:latest`);
    return image;
  }

  private service(): Implementation {
    const self = this;
    return implement(ImageService, {
      listImages: (request) => {
        this.seen.push({ method: "listImages", request });
        return Promise.resolve({ images: [...this.images.values()] });
      },
      inspectImage: (request) => Promise.resolve({ image: this.find(request.image) }),
      getImageHistory: () =>
        Promise.resolve({
          entries: [
            { id: "sha256:aa", createdBy: "CMD sh", createdNano: 1_700_000_000_000_000_000n },
          ],
        }),
      tagImage: (request) => {
        this.seen.push({ method: "tagImage", request });
        return Promise.resolve({});
      },
      removeImage: (request) => {
        this.find(request.image);
        return Promise.resolve({
          removed: [{ untagged: "busybox:latest" }, { deleted: "sha256:aa" }],
        });
      },
      async *pullImage(request, { signal }) {
        self.seen.push({ method: "pullImage", request });
        if (request.reference === "secret")
          throw notFound(
            "image",
            "secret",
            "pull access denied for secret, repository does not exist or may require 'docker login'",
          );
        yield {
          progress: { id: request.tag, status: `Pulling from library/${request.reference}` },
        };
        yield {
          progress: { id: "0123456789ab", status: "Downloading", current: 50n, total: 100n },
        };
        if (request.reference === "endless") {
          await new Promise<void>((resolve) => {
            signal.addEventListener("abort", () => {
              resolve();
            });
          });
          self.canceled++;
          return;
        }
        if (request.reference === "broken") throw new Error("connection reset <by peer>");
        yield {
          progress: { id: "0123456789ab", status: "Pull complete", hasProgressDetail: true },
        };
        yield {
          progress: {
            status: `Status: Downloaded newer image for ${request.reference}:${request.tag}`,
          },
        };
      },
      async *loadImages(request) {
        self.seen.push({ method: "loadImages", request });
        const received = Promise.withResolvers<Buffer>();
        yield {
          data: self.#data.issue(async (socket) => {
            received.resolve(await buffer(socket.iterator({ destroyOnReturn: false })));
          }),
        };
        const bytes = await received.promise;
        self.uploads.push(bytes);
        yield { progress: { stream: "Loaded image: hello:latest\n" } };
      },
      async *saveImages(request) {
        self.seen.push({ method: "saveImages", request });
        const finished = Promise.withResolvers<undefined>();
        const broken = request.images.includes("broken");
        yield {
          data: self.#data.issue(async (socket) => {
            const bytes = request.images.includes("big") ? big : Buffer.alloc(1_000_000, 7);
            for (let at = 0; at < bytes.length; at += 50_000) {
              self.saving += 50_000;
              if (!socket.write(bytes.subarray(at, at + 50_000))) await once(socket, "drain");
            }
            finished.resolve(undefined);
          }),
        };
        await finished.promise;
        if (broken) throw new Error("blob is gone");
      },
      login: (request) => {
        if (request.auth?.password !== "right")
          throw unauthenticated("incorrect username or password");
        return Promise.resolve({ status: "Login Succeeded", identityToken: "" });
      },
      getDiskUsage: () =>
        Promise.resolve({ images: [...this.images.values()], layersSizeBytes: 4_000_000n }),
      getImageInfo: () =>
        Promise.resolve({
          images: this.images.size,
          driver: "overlayfs",
          driverStatus: [{ key: "driver-type", value: "io.containerd.snapshotter.v1" }],
        }),
      inspectDistribution: () =>
        Promise.resolve({
          descriptor: { mediaType: "m", digest: "sha256:d", sizeBytes: 3n },
          platforms: [{ os: "linux", architecture: "amd64" }],
        }),
    });
  }
}
