/** Starts a service as a real process, and ends it in the ways a test needs. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { type ServiceName, servicePaths } from "@gantry/config";
import { openChannel } from "@gantry/rpc";
import type { EngineRoots } from "./engine-roots.ts";

const repository = path.resolve(import.meta.dirname, "../../..");

/** Options of startService. */
export interface StartServiceOptions {
  readonly roots: EngineRoots;
  readonly name: ServiceName;
  /** More variables of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long it may take until it answers. Default 60 s. */
  readonly readyTimeoutMs?: number;
  /** Program to run under Node, from the repository's root. Default: the service's src/main.ts. */
  readonly entry?: string;
}

/** A running service. */
export interface ServiceProcess extends AsyncDisposable {
  readonly pid: number;
  /** What it wrote to its log so far. */
  log(): string;
  /** Whether the process has ended. */
  ended(): boolean;
  /** Sends a signal and resolves when the process has ended. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts `services/<name>/src/main.ts` under the pinned Node; resolves when its gRPC socket answers. */
export async function startService(options: StartServiceOptions): Promise<ServiceProcess> {
  const { roots, name } = options;
  const entry = path.join(repository, options.entry ?? `services/${name}/src/main.ts`);
  const child = spawn(process.execPath, ["--enable-source-maps", entry], {
    cwd: "/",
    env: { ...roots.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => lines.push(chunk.toString()));
  }
  const service = wrap(child, lines);
  try {
    await ready(child, servicePaths(roots.config, name).grpcSocket, options.readyTimeoutMs);
    return service;
  } catch (error) {
    await service.end("SIGKILL");
    throw new Error(`${name} did not start:\n${service.log()}`, { cause: error });
  }
}

async function ready(child: ChildProcess, socket: string, timeoutMs = 60_000): Promise<void> {
  using channel = openChannel(socket);
  const exited = once(child, "exit").then(([code, signal]) => {
    throw new Error(`ended with ${String(code ?? signal)}`);
  });
  await Promise.race([channel.ready(timeoutMs), exited]);
}

function wrap(child: ChildProcess, lines: readonly string[]): ServiceProcess {
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    if (ended()) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  return {
    pid: child.pid ?? 0,
    log: () => lines.join(""),
    ended,
    end,
    [Symbol.asyncDispose]: () => end("SIGKILL"),
  };
}
