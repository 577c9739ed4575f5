/** Puts networks together from their parts: for main, and for tests with a kernel of their own. */
import { randomBytes } from "node:crypto";
import { nowNano } from "@gantry/events";
import { Turns } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import type { Kernel } from "@gantry/native";
import { NftForeignFirewall } from "./adapters/network/foreign-firewall.ts";
import { KernelHostLinks } from "./adapters/network/host-links.ts";
import { DiskNetworkFiles } from "./adapters/network/network-files.ts";
import { NftProgram } from "./adapters/network/nft-program.ts";
import { RelayClient } from "./adapters/network/relay-client.ts";
import { BridgeNetworking } from "./app/network/bridge-networking.ts";
import { bridgeRules } from "./app/network/bridge-state.ts";
import type { IdSource, NetworkOptions } from "./app/network/context.ts";
import { NameKeeper } from "./app/network/name-keeper.ts";
import { NetworkRegistry } from "./app/network/registry.ts";
import { RuleKeeper } from "./app/network/rule-keeper.ts";
import { UdpFlows } from "./app/network/udp-flows.ts";
import { randomMac } from "./domain/network/mac-address.ts";
import { fallbackEphemeralRange, PortAllocator } from "./domain/network/port-allocator.ts";
import type { MetadataStore } from "./ports/metadata.ts";
import type { HostLinks, NameServers } from "./ports/network-host.ts";
import type { ContainerDirectory, ContainerFolders } from "./ports/networking.ts";

/** What networks are made from. */
export interface NetworkingParts {
  readonly options: NetworkOptions;
  readonly kernel: Kernel;
  readonly store: MetadataStore;
  readonly directory: ContainerDirectory;
  readonly folders: ContainerFolders;
  readonly nameServers: NameServers;
  /** Path of the relay program. */
  readonly relayProgram: string;
  /** Path of the relay's control socket, in the run root. */
  readonly relaySocketPath: string;
  readonly logger: Logger;
}

const systemIds: IdSource = {
  id: () => randomBytes(32).toString("hex"),
  mac: randomMac,
  nowNano,
};

/** Reads a few facts of the host; nothing is changed before `open`. */
export async function createNetworking(parts: NetworkingParts): Promise<BridgeNetworking> {
  const { options, kernel, logger } = parts;
  const links = new KernelHostLinks(kernel);
  const nft = new NftProgram({ kernel });
  const registry = new NetworkRegistry();
  const rules = new RuleKeeper({
    filter: nft,
    table: options.table,
    bridges: () => bridgeRules(registry),
    foreignBridges: () => foreignBridges(links),
    logger,
  });
  const ephemeral = await links.ephemeralPorts();
  const context = {
    options,
    registry,
    ports: new PortAllocator(ephemeral ?? fallbackEphemeralRange, ephemeral?.reserved),
    rules,
    relay: new RelayClient({
      program: parts.relayProgram,
      socketPath: parts.relaySocketPath,
      kernel,
      logger,
    }),
    udpFlows: new UdpFlows(),
    links,
    files: new DiskNetworkFiles(parts.folders),
    hostsEdits: new Turns(),
    names: new NameKeeper({
      registry,
      directory: parts.directory,
      servers: parts.nameServers,
      logger,
    }),
    store: parts.store,
    directory: parts.directory,
    ids: systemIds,
    logger,
    hostHasIpv6: await links.hasIpv6(),
    kernelHasIpv6: await links.hasSysctl("net/ipv6/conf/all/disable_ipv6"),
  };
  const firewall = new NftForeignFirewall({ nft, tag: options.table, logger });
  return new BridgeNetworking(context, { filter: nft, firewall });
}

/** Bridges of a dockerd: its default one, and those that it names itself. */
async function foreignBridges(links: HostLinks): Promise<string[]> {
  const names = await links.linkNames("bridge");
  return names.filter((name) => name === "docker0" || /^br-[0-9a-f]{12}$/.test(name));
}
