/**
 * image-service as far as containers need it, with one image `busybox` made of Debian's static
 * busybox: real overlay directories, so that containers run from them.
 */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import path from "node:path";
import { servicePaths } from "@gantry/config";
import { notFound } from "@gantry/errors";
import { silentLogger } from "@gantry/logging";
import {
  ContentService,
  ImageService,
  type SetImageUsersRequest,
  SnapshotService,
} from "@gantry/proto/image";
import { type GrpcServer, implement, serveGrpc } from "@gantry/rpc";
import type { EngineRoots } from "@gantry/testkit";
import { debianProgram } from "@gantry/testkit/debian";
import { mustRun } from "@gantry/testkit/run";

/** The running fake. */
export interface FakeImages extends AsyncDisposable {
  /** Keys of the snapshots that there are. */
  snapshots(): string[];
  /** Owners of leases. */
  leases(): string[];
  /** What container-service told last. */
  users(): SetImageUsersRequest["users"];
  /** Members of the image's config from the next resolve on. */
  config: Record<string, unknown>;
  /** Thrown by whoever is asked how much a snapshot takes. */
  usageError: Error | undefined;
  /** What happens when a snapshot's tree is about to be read. */
  beforeRead: () => Promise<void>;
}

const imageId = `sha256:${"ab".repeat(32)}`;
const passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n";
const group = "root:x:0:\nwheel:x:10:root\nnobody:x:65534:\n";

export async function startFakeImages(roots: EngineRoots): Promise<FakeImages> {
  const { grpcSocket, dataDir } = servicePaths(roots.config, "image-service");
  const lower = path.join(dataDir, "lower");
  await makeTree(lower);
  const snapshots = new Map<string, ReturnType<typeof overlay>>();
  const leases = new Set<string>();
  let users: SetImageUsersRequest["users"] = [];
  const fake = {
    config: { Cmd: ["sh"], Env: ["PATH=/bin:/usr/bin"] } as Record<string, unknown>,
    usageError: undefined as Error | undefined,
    beforeRead: (): Promise<void> => Promise.resolve(),
    snapshots: () => [...snapshots.keys()],
    leases: () => [...leases],
    users: () => users,
  };
  const read = async (key: string): Promise<void> => {
    await fake.beforeRead();
    if (!snapshots.has(key)) throw notFound("snapshot", key);
  };
  const server: GrpcServer = await serveGrpc({
    socketPath: grpcSocket,
    logger: silentLogger(),
    services: [
      implement(ImageService, {
        resolveImage: ({ image, leaseOwner }) => {
          if (!/^(docker\.io\/library\/)?busybox(:latest)?$/.test(image)) {
            throw notFound("image", image.includes(":") ? image : `${image}:latest`);
          }
          leases.add(leaseOwner);
          return Promise.resolve({ image: describe(fake.config), chainId: "sha256:base" });
        },
        commitImage: async ({ snapshotKey }) => {
          await read(snapshotKey);
          return { imageId };
        },
        inspectImage: () => Promise.resolve({ image: describe(fake.config) }),
        listDerivedImages: ({ image }) =>
          image === "busybox"
            ? Promise.resolve({ imageIds: [imageId] })
            : Promise.reject(notFound("image", image)),
        setImageUsers: (request) => {
          users = request.users;
          return Promise.resolve({});
        },
      }),
      implement(SnapshotService, {
        prepareSnapshot: ({ key }) => {
          const mount = overlay(path.join(dataDir, "snapshots", key), lower);
          snapshots.set(key, mount);
          return Promise.resolve({ mount });
        },
        getMounts: ({ key }) => Promise.resolve({ mount: snapshots.get(key) }),
        removeSnapshot: ({ key }) => {
          snapshots.delete(key);
          rmSync(path.join(dataDir, "snapshots", key), { recursive: true, force: true });
          return Promise.resolve({});
        },
        getUsage: async ({ key }) => {
          await read(key);
          if (fake.usageError !== undefined) throw fake.usageError;
          return { sizeBytes: 1n, totalSizeBytes: 2n, inodes: 1n };
        },
        listSnapshots: () =>
          Promise.resolve({ snapshots: [...snapshots.keys()].map((key) => ({ key })) }),
        listSnapshotChanges: async ({ key }) => {
          await read(key);
          return { changes: [] };
        },
      }),
      implement(ContentService, {
        releaseLease: ({ owner }) => {
          leases.delete(owner);
          return Promise.resolve({});
        },
        listLeases: () => Promise.resolve({ leases: [...leases].map((owner) => ({ owner })) }),
      }),
    ],
  });
  return Object.assign(fake, { [Symbol.asyncDispose]: () => server.close() });
}

function describe(config: Record<string, unknown>) {
  const platform = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
  return {
    id: imageId,
    configJson: Buffer.from(JSON.stringify({ config })),
    manifest: {
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: imageId,
      platform,
    },
    platform,
  };
}

function overlay(folder: string, lower: string) {
  const mount = {
    lowerDirs: [lower],
    upperDir: path.join(folder, "upper"),
    workDir: path.join(folder, "work"),
    mountpoint: path.join(folder, "mnt"),
  };
  for (const dir of [mount.upperDir, mount.workDir, mount.mountpoint])
    mkdirSync(dir, { recursive: true });
  return mount;
}

async function makeTree(lower: string): Promise<void> {
  const program = await debianProgram("busybox-static", "/bin/busybox");
  const folders = ["bin", "etc", "root", "proc", "sys", "dev", "home", "usr/bin", "tmp"];
  for (const folder of folders) mkdirSync(path.join(lower, folder), { recursive: true });
  await copyFile(program, path.join(lower, "bin/busybox"));
  const { stdout } = await mustRun([program, "--list"]);
  for (const applet of stdout.trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", path.join(lower, "bin", applet));
  }
  writeFileSync(path.join(lower, "etc/passwd"), passwd);
  writeFileSync(path.join(lower, "etc/group"), group);
}
