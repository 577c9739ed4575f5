/** Networks that are only remembered. */
/** A container-service in memory: containers whose process is a function over the attached socket. */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { notFound } from "@gantry/errors";
import { type Network, NetworkSchema, NetworkService } from "@gantry/proto/network";
import { type Implementation, implement } from "@gantry/rpc";
import type { Seen } from "./seen.ts";

export function fakeNetworks(networks: Map<string, Network>, seen: Seen[]): Implementation {
  return implement(NetworkService, {
    createNetwork: (request) => {
      seen.push({ method: "createNetwork", request });
      const id = randomBytes(32).toString("hex");
      networks.set(
        id,
        create(NetworkSchema, {
          id,
          name: request.name,
          driver: "bridge",
          scope: "local",
          enableIpv4: true,
          ipam: {
            driver: "default",
            config: [{ subnet: "172.18.0.0/16", gateway: "172.18.0.1" }],
          },
          subnets: { "172.18.0.0/16": { ipsInUse: 3n, dynamicIpsAvailable: 65533n } },
        }),
      );
      return Promise.resolve({ id });
    },
    listNetworks: () => Promise.resolve({ networks: [...networks.values()] }),
    inspectNetwork: (request) => {
      for (const each of networks.values())
        if (each.id === request.network || each.name === request.network)
          return Promise.resolve({ network: each });
      throw notFound("network", request.network);
    },
    removeNetwork: () => Promise.resolve({}),
    connectNetwork: (request) => {
      seen.push({ method: "connectNetwork", request });
      return Promise.resolve({});
    },
  });
}
