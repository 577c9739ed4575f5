/** NetworkService: translates between messages and the operations of networks. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { notFound } from "@gantry/errors";
import {
  type CreateNetworkRequest,
  type IpamConfigSchema,
  type NetworkFilters,
  type NetworkSchema,
  NetworkService,
} from "@gantry/proto/network";
import { type Implementation, implement } from "@gantry/rpc";
import type { BridgeNetworking } from "../app/network/bridge-networking.ts";
import { wishOf } from "../app/network/declare-networks.ts";
import type { NetworkView } from "../app/network/network-views.ts";
import type { NewNetwork } from "../app/network/new-network.ts";
import { isFamilyEnabled } from "../domain/network/families.ts";
import type { NetworkFilter } from "../domain/network/network-filters.ts";
import {
  type EndpointWish,
  type SubnetRecord,
  shownDriver,
  shownScope,
  shownSubnets,
} from "../domain/network/records.ts";

const noWish: EndpointWish = {
  links: [],
  aliases: [],
  driverOpts: {},
  gwPriority: 0,
  macAddress: "",
};

/** The service over the networks of the engine. */
export function networkHandlers(networks: BridgeNetworking): Implementation {
  return implement(NetworkService, {
    async createNetwork(request) {
      const { id } = await networks.create(newNetwork(request));
      return { id, warning: "" };
    },
    inspectNetwork(request) {
      const view = networks.inspect(request.network);
      if (request.scope !== "" && request.scope !== shownScope(view.record)) {
        throw notFound("network", request.network);
      }
      return Promise.resolve({ network: toMessage(view) });
    },
    listNetworks(request) {
      return Promise.resolve({ networks: networks.list(toFilter(request.filters)).map(toMessage) });
    },
    async removeNetwork(request) {
      await networks.remove(request.network);
      return {};
    },
    async connectNetwork(request) {
      const { endpoint } = request;
      const wish = endpoint === undefined ? noWish : wishOf(endpoint);
      const networkId = endpoint?.networkId ?? "";
      await networks.connect(request.network, request.container, { networkId, wish });
      return {};
    },
    async disconnectNetwork(request) {
      await networks.disconnect(request.network, request.container, request.force);
      return {};
    },
    async pruneNetworks(request) {
      return { deleted: await networks.prune(toFilter(request.filters)) };
    },
  });
}

function toFilter(filters: NetworkFilters | undefined): NetworkFilter {
  const entries = Object.entries(filters?.filters ?? {});
  return new Map(entries.map(([key, { values }]) => [key, values]));
}

function newNetwork(request: CreateNetworkRequest): NewNetwork {
  const { ipam } = request;
  return {
    name: request.name,
    driver: request.driver,
    scope: request.scope,
    enableIpv4: isFamilyEnabled(4, request.enableIpv4, request.options),
    enableIpv6: isFamilyEnabled(6, request.enableIpv6, request.options),
    ipam: {
      driver: ipam?.driver ?? "",
      options: ipam?.options ?? {},
      hasOptions: ipam?.hasOptions ?? false,
      config: (ipam?.config ?? []).map(
        ({ subnet, ipRange, gateway, auxiliaryAddresses }): SubnetRecord => ({
          subnet,
          ipRange,
          gateway,
          auxiliaryAddresses,
        }),
      ),
    },
    internal: request.internal,
    attachable: request.attachable,
    ingress: request.ingress,
    configOnly: request.configOnly,
    configFrom: request.configFrom,
    options: request.options,
    labels: request.labels,
  };
}

function toMessage({
  record,
  containers,
  subnets,
}: NetworkView): MessageInitShape<typeof NetworkSchema> {
  return {
    id: record.id,
    name: record.name,
    createdNano: BigInt(record.createdNano),
    scope: shownScope(record),
    // A configuration is of no driver.
    driver: shownDriver(record),
    enableIpv4: record.enableIpv4,
    enableIpv6: record.enableIpv6,
    ipam: {
      driver: record.ipam.driver,
      options: { ...record.ipam.options },
      hasOptions: record.ipam.hasOptions ?? false,
      config: shownSubnets(record).map(toConfig),
    },
    internal: record.internal,
    attachable: record.attachable,
    ingress: false,
    configOnly: record.configOnly,
    configFrom: record.configFrom,
    containers: { ...containers },
    options: { ...record.options },
    labels: { ...record.labels },
    subnets: { ...subnets },
  };
}

function toConfig(config: SubnetRecord): MessageInitShape<typeof IpamConfigSchema> {
  const { subnet, ipRange, gateway, isGatewayChosen, auxiliaryAddresses } = config;
  return {
    subnet,
    ipRange,
    gateway: isGatewayChosen === true ? "" : gateway,
    auxiliaryAddresses: { ...auxiliaryAddresses },
  };
}
