/** The two forms of ShimService, each as the suite needs it: started, crashed and started again, ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { silentLogger } from "@gantry/logging";
import { ShimService } from "@gantry/proto/shim";
import { type Channel, openChannel, type ServiceClient } from "@gantry/rpc";
import type { EngineRoots } from "@gantry/testkit";
import { createShim, type ShimApi } from "../src/index.ts";

export type ShimClient = ServiceClient<typeof ShimService>;

/** One brain at a time. */
export interface ShimForm {
  /** The brain of now; another one after a crash. */
  client(): ShimClient;
  /** The brain goes without a word, and a new one comes. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

export function loadedForm(roots: EngineRoots): Promise<ShimForm> {
  const open = (): ShimApi =>
    createShim({
      runRoot: roots.config.runRoot,
      cacheDir: path.join(roots.config.dataRoot, "seccomp"),
      cgroupParent: roots.config.cgroupParent,
      logger: silentLogger(),
    });
  let shim = open();
  return Promise.resolve({
    client: () => shim,
    // In one process a crash is a brain that lets go of everything.
    async crash() {
      await shim.close();
      shim = open();
    },
    close: () => shim.close(),
  });
}

const entry = path.join(import.meta.dirname, "../src/main.ts");
const readyTimeoutMs = 20_000;

export async function servedForm(roots: EngineRoots): Promise<ShimForm> {
  let service = start(roots);
  let channel: Channel = openChannel(path.join(roots.config.runRoot, "shim.sock"));
  let client = channel.client(ShimService);
  await channel.ready(readyTimeoutMs);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    channel.close();
    if (service.exitCode !== null || service.signalCode !== null) return;
    const ended = once(service, "exit");
    service.kill(signal);
    await ended;
  };
  return {
    client: () => client,
    async crash() {
      await end("SIGKILL");
      service = start(roots);
      channel = openChannel(path.join(roots.config.runRoot, "shim.sock"));
      client = channel.client(ShimService);
      await channel.ready(readyTimeoutMs);
    },
    close: () => end("SIGTERM"),
  };
}

function start(roots: EngineRoots): ChildProcess {
  return spawn(process.execPath, [entry], {
    env: roots.env,
    cwd: "/",
    stdio: ["ignore", "ignore", "inherit"],
  });
}
