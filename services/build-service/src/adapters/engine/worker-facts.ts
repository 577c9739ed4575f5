/** The WorkerFacts port over container-service and the kernel. */
import os from "node:os";
import { hasKind } from "@gantry/errors";
import { NetworkService } from "@gantry/proto/network";
import type { Channel } from "@gantry/rpc";
import type { WorkerFacts } from "../../ports/worker-facts.ts";
import { readPlatforms } from "../host/platforms.ts";

/** @param configured addresses that the engine's configuration has for `host-gateway` */
export function openWorkerFacts(channel: Channel, configured: readonly string[]): WorkerFacts {
  const networks = channel.client(NetworkService);
  const gatewayOfDefaultBridge = async (signal: AbortSignal): Promise<string | undefined> => {
    try {
      const { network } = await networks.inspectNetwork({ network: "bridge" }, { signal });
      const gateways = network?.ipam?.config.map(({ gateway }) => gateway) ?? [];
      return gateways.find((gateway) => gateway !== "");
    } catch (error) {
      // An engine may be told to have no default bridge.
      if (hasKind(error, "not_found")) return undefined;
      throw error;
    }
  };
  let known: string | undefined = configured[0];
  return {
    hostname: os.hostname(),
    platforms: readPlatforms,
    // The default bridge stays as it is for as long as the engine runs.
    hostGateway: async (signal) => (known ??= await gatewayOfDefaultBridge(signal)),
  };
}
