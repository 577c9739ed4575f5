/** Private roots, so that a test's engine never meets another one on the same machine. */
import { randomInt } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type EngineConfig, loadConfig } from "@gantry/config";
import { openTempDir } from "@gantry/fs";
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
  /** Removes the folder. Processes and mounts must be gone by then. */
  close(): Promise<void>;
}

/** Makes roots with an instance name of their own (links, nft tables and cgroup differ, too). */
export async function openEngineRoots(options: EngineRootsOptions = {}): Promise<EngineRoots> {
  // In /tmp, since a Unix socket's path is limited to 107 bytes.
  const dir = await openTempDir("gantry-t-", "/tmp");
  const instance = `t${randomInt(36 ** 3)
    .toString(36)
    .padStart(3, "0")}`;
  const env = {
    ...cleanEnvironment(),
    GANTRY_DATA_ROOT: path.join(dir.path, "data"),
    GANTRY_RUN_ROOT: path.join(dir.path, "run"),
    GANTRY_CONFIG: path.join(dir.path, "daemon.json"),
    GANTRY_CGROUP_PARENT: `gantry-${instance}`,
    GANTRY_INSTANCE: instance,
    ...options.env,
  };
  await mkdir(env.GANTRY_DATA_ROOT, { recursive: true });
  await mkdir(env.GANTRY_RUN_ROOT);
  await writeFile(env.GANTRY_CONFIG, JSON.stringify(options.daemon ?? {}));
  const close = (): Promise<void> => rm(dir.path, { recursive: true, force: true });
  return { path: dir.path, env, config: loadConfig(env), close, [Symbol.asyncDispose]: close };
}
