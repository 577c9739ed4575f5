/** Private roots, so that a test's engine never meets another one on the same machine. */
import { randomInt } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { type EngineConfig, loadConfig } from "@gantry/config";
import { openTempDir } from "@gantry/fs";
import { listRoots, ownRoots, rootsPrefix } from "./roots-owner.ts";
import { cleanEnvironment } from "./run.ts";

/** Options of openEngineRoots. */
export interface EngineRootsOptions {
  /** Contents of daemon.json. Default `{}`. */
  readonly daemon?: Readonly<Record<string, unknown>>;
  /** More variables, for example GANTRY_NATS_URL. */
  readonly env?: Readonly<Record<string, string>>;
}

/** An engine's roots in one temporary folder. */
export interface EngineRoots extends AsyncDisposable {
  /** The folder that holds everything. */
  readonly path: string;
  /** The whole environment of a process of this engine. */
  readonly env: Record<string, string>;
  readonly config: EngineConfig;
  /** Removes the folder. Processes and mounts must be gone by then. A second call does nothing. */
  close(): Promise<void>;
}

/** Makes roots with an instance name of their own (links, nft tables and cgroup differ, too). */
export async function openEngineRoots(options: EngineRootsOptions = {}): Promise<EngineRoots> {
  // In /tmp, since a Unix socket's path is limited to 107 bytes.
  const dir = await openTempDir(path.basename(rootsPrefix), path.dirname(rootsPrefix));
  const instance = freeInstance();
  const env = {
    ...cleanEnvironment(),
    GANTRY_DATA_ROOT: path.join(dir.path, "data"),
    GANTRY_RUN_ROOT: path.join(dir.path, "run"),
    GANTRY_CONFIG: path.join(dir.path, "daemon.json"),
    GANTRY_CGROUP_PARENT: `gantry-${instance}`,
    GANTRY_INSTANCE: instance,
    ...options.env,
  };
  const owner = await ownRoots({ root: dir.path, env });
  await mkdir(env.GANTRY_DATA_ROOT, { recursive: true });
  await mkdir(env.GANTRY_RUN_ROOT);
  await writeFile(env.GANTRY_CONFIG, JSON.stringify(options.daemon ?? {}));
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closed ??= dir.close().then(() => owner[Symbol.asyncDispose]()));
  return { path: dir.path, env, config: loadConfig(env), close, [Symbol.asyncDispose]: close };
}

/** A name that no other roots have, not even abandoned ones: what bears it will be removed with them. */
function freeInstance(): string {
  const taken = new Set(listRoots().map(({ env }) => env["GANTRY_INSTANCE"]));
  for (;;) {
    const instance = `t${randomInt(36 ** 3)
      .toString(36)
      .padStart(3, "0")}`;
    if (!taken.has(instance)) return instance;
  }
}
