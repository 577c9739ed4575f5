/** What the use cases of networks share. */
import type { Turns } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import type { PortAllocator } from "../../domain/network/port-allocator.ts";
import type { SubnetPool } from "../../domain/network/subnet-choice.ts";
import type { MetadataStore } from "../../ports/metadata.ts";
import type { HostLinks, NetworkFileStore, PortRelay } from "../../ports/network-host.ts";
import type { ContainerDirectory } from "../../ports/networking.ts";
import type { NameKeeper } from "./name-keeper.ts";
import type { NetworkRegistry } from "./registry.ts";
import type { RuleKeeper } from "./rule-keeper.ts";
import type { UdpFlows } from "./udp-flows.ts";

/** The engine's configuration, as far as networks depend on it. */
export interface NetworkOptions {
  /** First letters of our links, at most 8. */
  readonly linkPrefix: string;
  /** Name of our table. */
  readonly table: string;
  /** Address of the default bridge with prefix length, or undefined: from the pools. */
  readonly bridgeAddress?: string | undefined;
  /** Dynamic addresses of the default bridge, or undefined: all. */
  readonly fixedCidr?: string | undefined;
  /** Bytes, undefined: the kernel's choice. */
  readonly mtu?: number | undefined;
  readonly interContainer: boolean;
  readonly ipMasquerade: boolean;
  readonly ipForward: boolean;
  /** Default bridge with IPv6. */
  readonly ipv6: boolean;
  readonly defaultHostAddress: string;
  readonly defaultAddressPools: readonly SubnetPool[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly hostGatewayAddresses: readonly string[];
  /** 40 random bits that tell this engine's unique local IPv6 prefix. */
  readonly uniqueLocalSeed: bigint;
}

/** Where names and times come from. */
export interface IdSource {
  /** 64 hex digits. */
  id(): string;
  /** 6 bytes of a locally administered MAC address. */
  mac(): Uint8Array;
  /** Nanoseconds since the epoch. */
  nowNano(): bigint;
}

export interface NetworkContext {
  readonly options: NetworkOptions;
  readonly registry: NetworkRegistry;
  readonly ports: PortAllocator;
  readonly rules: RuleKeeper;
  readonly relay: PortRelay;
  readonly udpFlows: UdpFlows;
  readonly links: HostLinks;
  readonly files: NetworkFileStore;
  /** One work on a container's hosts file after the other, by container ID. */
  readonly hostsEdits: Turns;
  readonly names: NameKeeper;
  readonly store: MetadataStore;
  readonly directory: ContainerDirectory;
  readonly ids: IdSource;
  readonly logger: Logger;
  /** The host has IPv6. */
  readonly hostHasIpv6: boolean;
  /** Containers may have it: the kernel was not started with `ipv6.disable=1`. */
  readonly kernelHasIpv6: boolean;
}

/** Runs on without anybody waiting for it; a failure is logged. */
export function inBackground(
  context: Pick<NetworkContext, "logger">,
  what: string,
  work: Promise<unknown>,
): void {
  work.catch((error: unknown) => {
    context.logger.error({ err: error, what }, "background work of networks failed");
  });
}
