/**
 * A builder for tests of the protocol: a "Dockerfile" is a list of words that say what it does to its
 * client, and nothing of the engine is behind it.
 *
 *   COPY <path>…      reads the context and puts the paths (`.`: all of it) into the result
 *   SAY <text>        a step that logs
 *   SECRET <id>       writes a secret to /secret-<id>
 *   AUTH <host>       writes the user's name for a registry to /auth-<host>
 *   AGENT <id>        asks the agent for its identities and writes the answer to /agent-<id>, in hex
 *   FAIL <text>       fails like a RUN
 *   HANG              waits until it is cancelled
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { hostPlatform } from "@gantry/oci";
import { asVertex } from "../../src/buildkit/progress/own-vertex.ts";
import {
  BuildError,
  type Builder,
  type BuildRequest,
  type BuildResult,
  type CacheRecord,
  type PlatformResult,
} from "../../src/ports/build.ts";
import type { BuildInputs, LentAgent } from "../../src/ports/build-inputs.ts";
import type { KeptContexts } from "../../src/ports/kept-contexts.ts";
import type { ProgressSink } from "../../src/ports/progress.ts";

const digestOf = (text: string): string =>
  `sha256:${createHash("sha256").update(text).digest("hex")}`;

/** Runs the words. */
export class ScriptedBuilder implements Builder {
  readonly #folder: string;
  readonly #contexts: KeptContexts;
  #records: CacheRecord[] = [];

  constructor(folder: string, contexts: KeptContexts) {
    this.#folder = folder;
    this.#contexts = contexts;
  }

  async build(
    request: BuildRequest,
    inputs: BuildInputs,
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    const root = await mkdtemp(path.join(this.#folder, "result-"));
    const source = new TextDecoder().decode(inputs.dockerfile.bytes);
    const lines = source.split("\n").filter((line) => line !== "");
    for (const [i, line] of lines.entries()) {
      const name = `[${String(i + 1)}/${String(lines.length)}] ${line}`;
      await asVertex(progress, { key: `${request.id} ${name}`, name }, async (vertex) => {
        try {
          await this.#step(line, { root, inputs, signal, vertex });
        } catch (error) {
          if (!(error instanceof BuildError)) throw error;
          throw new BuildError(error.message, {
            exitCode: 3,
            vertex: vertex.digest,
            place: {
              file: inputs.dockerfile.name,
              source: inputs.dockerfile.bytes,
              lines: { first: i + 1, last: i + 1 },
            },
          });
        }
      });
    }
    this.#records.push(recordOf(request.id));
    return {
      platforms: [
        {
          platform: hostPlatform(),
          snapshot: root,
          config: { ...hostPlatform(), config: {}, history: [] },
          cacheKeys: [],
        },
      ],
      materials: [],
      stepKeys: [],
      [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
    };
  }

  async #step(
    line: string,
    at: {
      root: string;
      inputs: BuildInputs;
      signal: AbortSignal;
      vertex: Parameters<Parameters<typeof asVertex>[2]>[0];
    },
  ): Promise<void> {
    const [word = "", ...rest] = line.split(" ");
    const [name = ""] = rest;
    const { root, inputs, signal, vertex } = at;
    const write = (file: string, bytes: string | Uint8Array): Promise<void> =>
      writeFile(path.join(root, file), bytes);
    switch (word) {
      case "COPY": {
        if (inputs.context?.kind !== "local") throw new BuildError("no local context");
        const include = name === "." ? [] : rest;
        const exclude = (await inputs.ignore()).split("\n").filter((each) => each !== "");
        await using tree = await inputs.context.context.open({ include, exclude }, vertex, signal);
        await cp(tree.root, root, {
          recursive: true,
          preserveTimestamps: true,
          verbatimSymlinks: true,
        });
        return;
      }
      case "SAY":
        vertex.log(1, new TextEncoder().encode(`${rest.join(" ")}\n`));
        return;
      case "SECRET":
        await write(`secret-${name}`, (await inputs.secret(name, signal)) ?? "absent");
        return;
      case "AUTH":
        await write(
          `auth-${name}`,
          (await inputs.registryAuth(name, signal))?.username ?? "absent",
        );
        return;
      case "AGENT":
        await write(`agent-${name}`, await identities(await inputs.sshAgent(name, signal)));
        return;
      case "FAIL":
        vertex.log(2, new TextEncoder().encode(`${rest.join(" ")}\n`));
        throw new BuildError(
          `process "/bin/sh -c ${rest.join(" ")}" did not complete successfully: exit code: 3`,
        );
      case "HANG":
        await once(signal, "abort");
        signal.throwIfAborted();
        return;
      default:
        throw new BuildError(`unknown instruction: ${word}`);
    }
  }

  exportImage(
    ...[result, options]: Parameters<Builder["exportImage"]>
  ): ReturnType<Builder["exportImage"]> {
    const [platform] = result.platforms;
    if (platform === undefined) throw new Error("no platform");
    options.onStep("exporting layers", true);
    const manifest = {
      platform: platform.platform,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: digestOf(platform.snapshot),
      sizeBytes: 1,
      configDigest: digestOf("config"),
      layers: [],
    };
    const attested = options.attestations !== undefined;
    return Promise.resolve({
      digest: attested ? digestOf("index") : manifest.digest,
      mediaType: "application/vnd.oci.image.index.v1+json",
      sizeBytes: 2,
      annotations: {},
      configDigest: manifest.configDigest,
      manifests: [manifest],
    });
  }

  outline(): ReturnType<Builder["outline"]> {
    return Promise.resolve({ name: "", description: "", args: [], secrets: [], ssh: [] });
  }

  targets(): ReturnType<Builder["targets"]> {
    return [];
  }

  lint(): ReturnType<Builder["lint"]> {
    return Promise.resolve({ findings: [], failure: undefined });
  }

  async *exportArchive(
    ...[, { layout, names }]: Parameters<Builder["exportArchive"]>
  ): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode(`archive ${layout} ${names.join(",")}`);
  }

  exportBlobs(): ReturnType<Builder["exportBlobs"]> {
    throw new Error("not scripted");
  }

  importCache(source: Parameters<Builder["importCache"]>[0]): Promise<void> {
    const name = source.kind === "registry" ? source.reference : source.name;
    throw new BuildError(`${name} has no cache`);
  }

  exportCache(): ReturnType<Builder["exportCache"]> {
    return Promise.resolve(undefined);
  }

  mount({ snapshot }: PlatformResult): ReturnType<Builder["mount"]> {
    return Promise.resolve({ root: snapshot, [Symbol.asyncDispose]: () => Promise.resolve() });
  }

  async *exportTrees(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 5; i++) yield Buffer.alloc(3 * 1024 * 1024, i);
  }

  async diskUsage(): Promise<readonly CacheRecord[]> {
    return [...this.#records, ...(await this.#contexts.list())];
  }

  async *prune({ matches }: Parameters<Builder["prune"]>[0]): AsyncGenerator<CacheRecord> {
    const gone = (await this.diskUsage()).filter(matches);
    this.#records = this.#records.filter((each) => !gone.includes(each));
    for (const { id } of gone) await this.#contexts.remove(id);
    yield* gone;
  }
}

/** A request for identities is one byte, 11, behind its length. */
async function identities(agent: LentAgent): Promise<string> {
  if ("missing" in agent) return "absent";
  const socket = net.connect(agent.socket);
  socket.write(Buffer.from([0, 0, 0, 1, 11]));
  // A client writes the length and what follows one after the other: they may come apart.
  let answer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    answer = Buffer.concat([answer, chunk]);
    if (answer.length >= 4 && answer.length >= 4 + answer.readUInt32BE(0)) break;
  }
  return answer.toString("hex");
}

function recordOf(id: string): CacheRecord {
  return {
    id: `step-${id}`,
    parents: [],
    type: "regular",
    description: "a step",
    inUse: false,
    shared: false,
    mutable: false,
    sizeBytes: 1234,
    createdNano: BigInt(Date.now()) * 1_000_000n,
    lastUsedNano: 0n,
    usageCount: 1,
  };
}
