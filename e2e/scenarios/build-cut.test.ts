/** Builds that end while files come in: by Ctrl-C, or because their client is gone. Nothing of them stays. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { mustRun } from "@gantry/testkit";
import { type Registry, startRegistry } from "@gantry/testkit/registry";
import { untilPasses } from "@gantry/testkit/until-passes";
import { useBuildxBed } from "../src/buildx-bed.ts";

const gibibyte = 2 ** 30;

let registry: Registry;
let folder: string;

// Before the bed's, which takes the engine away.
after(async () => {
  await registry[Symbol.asyncDispose]();
});
const bed = useBuildxBed({
  prepare: async (engine) => {
    registry = await startRegistry({ dir: path.join(engine.root, "registry") });
    folder = path.join(engine.root, "context");
    await mkdir(folder);
    // The service, which begins with its first build, makes its folders.
    const other = path.join(engine.root, "other");
    await mkdir(other);
    await writeFile(path.join(other, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
    for (const DOCKER_BUILDKIT of ["0", "1"])
      await engine.docker(["build", "-q", other], { env: { ...bed.env, DOCKER_BUILDKIT } });
  },
});

const own = (name: string): string => path.join(bed.engine.dataRoot, "build-service", name);

async function entries(name: string): Promise<string[]> {
  return (await readdir(own(name))).sort();
}

/** Everything that a build could leave. */
async function inventory(): Promise<object> {
  const mounts = await readFile("/proc/self/mounts", "utf8");
  using db = new DatabaseSync(path.join(bed.engine.dataRoot, "image-service/metadata.db"), {
    readOnly: true,
  });
  // What came of a blob is kept for a while, for whoever pulls it next.
  const leases = "SELECT owner FROM leases WHERE owner LIKE 'build-%' ORDER BY owner";
  const snapshots = "SELECT key FROM snapshots ORDER BY key";
  return {
    contexts: await entries("contexts"),
    scratch: await entries("scratch"),
    mounts: mounts.split("\n").filter((line) => line.includes(bed.engine.root)).length,
    leases: db.prepare(leases).all(),
    snapshots: db.prepare(snapshots).all(),
    containers: await bed.engine.docker(["ps", "-aq"]),
    images: await bed.engine.docker(["images", "-aq"]),
    cache: await cacheSize(),
  };
}

async function cacheSize(): Promise<string | undefined> {
  const shown = await bed.engine.docker([
    "system",
    "df",
    "--format",
    "{{.Type}} {{.TotalCount}} {{.Size}}",
  ]);
  return shown.split("\n").find((line) => line.startsWith("Build Cache"));
}

function begin(builder: "buildx" | "classic"): ChildProcess {
  const flags = builder === "buildx" ? ["--progress=plain", "--no-cache"] : [];
  return spawn("docker", ["build", ...flags, "."], {
    ...{ cwd: folder, stdio: "ignore" },
    env: { ...bed.env, DOCKER_BUILDKIT: builder === "buildx" ? "1" : "0" },
    // Ctrl-C reaches the CLI and its plugin.
    detached: true,
  });
}

/** Signals the client with all its processes, and waits for its end. */
async function end(client: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(client, "exit");
  process.kill(-(client.pid ?? Number.NaN), signal);
  await ended;
}

async function assertNothingLeft(before: object): Promise<void> {
  await untilPasses(async () => {
    assert.deepEqual(await inventory(), before);
  });
}

const ways = [
  ["Ctrl-C", "SIGINT"],
  ["a client that is gone", "SIGKILL"],
] as const;

describe("while the context comes in", () => {
  for (const builder of ["buildx", "classic"] as const) {
    for (const [name, signal] of ways) {
      it(`${name} leaves nothing (${builder})`, async () => {
        await writeFile(path.join(folder, "Dockerfile"), "FROM busybox\nCOPY large /\n");
        await using large = await open(path.join(folder, "large"), "w");
        await large.truncate(4 * gibibyte);
        const before = await inventory();
        const client = begin(builder);
        await untilPasses(async () => {
          assert.ok((await receivedBytes()) > 0, "nothing has come in");
        });
        await end(client, signal);
        await assertNothingLeft(before);
        assert.equal(await receivedBytes(), 0);
      });
    }
  }

  async function receivedBytes(): Promise<number> {
    const places = ["contexts", "scratch"].map(own);
    const files = await Promise.all(places.map((place) => readdir(place, { recursive: true })));
    const paths = files.flatMap((names, i) =>
      names.map((name) => path.join(places[i] ?? "", name)),
    );
    const large = paths.filter((each) => path.basename(each).startsWith("large"));
    const sizes = await Promise.all(large.map(async (each) => (await stat(each)).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }
});

/** A registry that stops in the middle of the largest blob. */
class StallingRegistry implements AsyncDisposable {
  readonly #server: http.Server;
  readonly #upstream: string;
  #stalled = Promise.withResolvers<void>();

  constructor(upstream: string) {
    this.#upstream = upstream;
    this.#server = http.createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** Resolves when the next blob has come half-way. */
  async stalled(): Promise<void> {
    await this.#stalled.promise;
    this.#stalled = Promise.withResolvers();
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const accept = request.headers.accept ?? "*/*";
    const url = `http://${this.#upstream}${request.url ?? ""}`;
    const from = await fetch(url, { method: request.method ?? "GET", headers: { accept } });
    const bytes = Buffer.from(await from.arrayBuffer());
    const headers = Object.fromEntries(from.headers);
    response.writeHead(from.status, headers);
    const isLayer = url.includes("/blobs/") && bytes.length > 100_000;
    if (!isLayer || request.method === "HEAD") {
      response.end(bytes);
      return;
    }
    response.write(bytes.subarray(0, bytes.length / 2), () => {
      this.#stalled.resolve();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

describe("while a base image is pulled", () => {
  for (const builder of ["buildx", "classic"] as const) {
    for (const [name, signal] of ways) {
      it(`${name} leaves nothing (${builder})`, async () => {
        await using stalling = new StallingRegistry(registry.host);
        const pushed = `${registry.host}/base:1`;
        await bed.engine.docker(["tag", "busybox", pushed]);
        await bed.engine.docker(["push", "-q", pushed]);
        await bed.engine.docker(["rmi", pushed, "busybox"]);
        try {
          const host = await stalling.listen();
          await mustRun(["rm", "-f", path.join(folder, "large")]);
          await writeFile(path.join(folder, "Dockerfile"), `FROM ${host}/base:1\nRUN true\n`);
          const before = await inventory();
          const client = begin(builder);
          await stalling.stalled();
          await end(client, signal);
          await assertNothingLeft(before);
        } finally {
          await bed.engine.docker(["pull", "-q", pushed]);
          await bed.engine.docker(["tag", pushed, "busybox"]);
          await bed.engine.docker(["rmi", pushed]);
        }
      });
    }
  }
});
