/** Networking of the lifecycle, and the operations of the network API: the use cases with their state. */
import { conflict } from "@gantry/errors";
import {
  checkListFilter,
  checkPruneFilter,
  isListed,
  type NetworkFilter,
} from "../../domain/network/network-filters.ts";
import type { ContainerNetworks, NetworkRecord } from "../../domain/network/records.ts";
import { parseUntil } from "../../domain/until-time.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { ForeignFirewall, Held, PacketFilter } from "../../ports/network-host.ts";
import type {
  DeclaredNetwork,
  EndpointRequest,
  LiveContainer,
  NetworkedContainer,
  Networking,
  NetworkSettingsView,
  PreparedNetwork,
} from "../../ports/networking.ts";
import { openNetworks, reconcileNetworks } from "./boot.ts";
import { bridgeNetworks, ownLink } from "./bridge-state.ts";
import { type ConnectRequest, connectNetwork } from "./connect-network.ts";
import { inBackground, type NetworkContext } from "./context.ts";
import { createNetwork } from "./create-network.ts";
import { declareNetworks } from "./declare-networks.ts";
import { disconnectNetwork } from "./disconnect-network.ts";
import { refreshNeighbours } from "./neighbours.ts";
import { askedMac, type NetworkView, viewNetwork, viewSettings } from "./network-views.ts";
import type { NewNetwork } from "./new-network.ts";
import { prepareStart } from "./prepare-start.ts";
import { releaseNetworks } from "./release-networks.ts";
import { pruneNetworks, removeNetwork } from "./remove-network.ts";

/** What is needed besides the context. */
export interface BridgeNetworkingOptions {
  readonly filter: PacketFilter;
  readonly firewall: ForeignFirewall;
}

/** Docker words it otherwise there. */
function ambiguityInInspect(reference: string, matches: number): string {
  return `${matches} matches found based on ID prefix: network ${reference} is ambiguous`;
}

export class BridgeNetworking implements Networking {
  readonly #context: NetworkContext;
  readonly #options: BridgeNetworkingOptions;
  /** Present from `open` to the end: afterwards nothing may be put into the kernel any more. */
  #watch: Held | undefined;
  #pruning = false;

  constructor(context: NetworkContext, options: BridgeNetworkingOptions) {
    this.#context = context;
    this.#options = options;
  }

  async open(): Promise<void> {
    this.#watch = this.#options.filter.watch(() => {
      inBackground(this.#context, "look after the rules", this.#lookAfterRules());
    });
    await openNetworks(this.#context);
    await this.#admitBridges();
  }

  /** Others have changed rules: ours may be gone, and theirs may be in our way. */
  async #lookAfterRules(): Promise<void> {
    await Promise.all([this.#context.rules.verify(), this.#admitBridges()]);
  }

  async #admitBridges(): Promise<void> {
    if (this.#watch !== undefined) await this.#options.firewall.admit(this.#bridgeLinks());
  }

  async #bridgesChanged(): Promise<void> {
    if (this.#watch !== undefined) await this.#options.firewall.bridgesChanged(this.#bridgeLinks());
  }

  #bridgeLinks(): string[] {
    return bridgeNetworks(this.#context.registry).map((network) => network.link);
  }

  reconcile(live: readonly LiveContainer[], known: ReadonlySet<string>): Promise<void> {
    return reconcileNetworks(this.#context, live, known);
  }

  declare(
    container: NetworkedContainer,
    endpoints: Readonly<Record<string, EndpointRequest>>,
  ): DeclaredNetwork {
    return declareNetworks(this.#context, container, endpoints);
  }

  prepareStart(container: NetworkedContainer, signal: AbortSignal): Promise<PreparedNetwork> {
    return prepareStart(this.#context, container, signal);
  }

  launched(containerId: string, pid: number): void {
    const networks = this.#context.registry.container(containerId);
    if (networks === undefined) return;
    const change = this.#context.registry.putContainer({ ...networks, pid });
    inBackground(this.#context, "keep endpoints", this.#context.store.commit([change], []));
    if (networks.published.length > 0) this.#allowHairpin(networks);
    this.#context.names.launched(containerId);
  }

  #allowHairpin(networks: ContainerNetworks): void {
    for (const { live } of networks.endpoints) {
      if (live === undefined || live.hostName === "") continue;
      inBackground(this.#context, "allow hairpin", this.#context.links.setHairpin(live.hostName));
    }
  }

  release(containerId: string): readonly NewEvent[] {
    return releaseNetworks(this.#context, containerId);
  }

  forget(containerId: string): void {
    if (this.#context.registry.container(containerId) === undefined) return;
    releaseNetworks(this.#context, containerId);
    const change = this.#context.registry.removeContainer(containerId);
    inBackground(this.#context, "forget endpoints", this.#context.store.commit([change], []));
  }

  rename(containerId: string, name: string): void {
    const networks = this.#context.registry.container(containerId);
    if (networks === undefined) return;
    const renamed = { ...networks, name };
    const change = this.#context.registry.putContainer(renamed);
    inBackground(this.#context, "keep endpoints", this.#context.store.commit([change], []));
    refreshNeighbours(this.#context, renamed);
  }

  settings(containerId: string): NetworkSettingsView {
    return viewSettings(this.#context.registry, containerId);
  }

  askedMac(containerId: string): string {
    return askedMac(this.#context.registry, containerId);
  }

  isOnNetwork(containerId: string, reference: string): boolean {
    const { registry } = this.#context;
    const endpoints = registry.container(containerId)?.endpoints ?? [];
    return endpoints.some((endpoint) => {
      const network = registry.networkOf(endpoint);
      if (network === undefined) return endpoint.networkRef === reference;
      return network.name === reference || network.id.startsWith(reference);
    });
  }

  close(): Promise<void> {
    this.#stopWatching();
    this.#context.names.close();
    this.#context.relay.disconnect();
    return Promise.resolve();
  }

  #stopWatching(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  async teardownHost(): Promise<void> {
    this.#stopWatching();
    this.#context.names.close();
    for (const { containerId } of this.#context.registry.containers()) {
      releaseNetworks(this.#context, containerId);
    }
    await this.#options.firewall.withdraw();
    await this.#context.relay.stop();
    await this.#context.rules.remove();
    for (const link of this.#context.registry.reservedNetworks().map(ownLink)) {
      if (link !== "") await this.#context.links.removeLink(link);
    }
  }

  // The network API.

  /** Errors: see createNetwork. */
  async create(request: NewNetwork): Promise<NetworkRecord> {
    const network = await createNetwork(this.#context, request);
    inBackground(this.#context, "admit bridges", this.#bridgesChanged());
    return network;
  }

  /** Errors: not_found, invalid_argument (ambiguous). */
  inspect(reference: string): NetworkView {
    const { registry } = this.#context;
    return viewNetwork(registry, registry.find(reference, ambiguityInInspect));
  }

  /** Errors: invalid_argument (filters). */
  list(filter: NetworkFilter): NetworkView[] {
    checkListFilter(filter);
    const { registry } = this.#context;
    return registry
      .networks()
      .filter((network) => isListed(network, filter, registry.liveMembers(network.id).length > 0))
      .map((network) => viewNetwork(registry, network));
  }

  /** Errors: not_found, permission_denied. */
  async remove(reference: string): Promise<void> {
    await removeNetwork(this.#context, reference);
    inBackground(this.#context, "admit bridges", this.#bridgesChanged());
  }

  /** Errors: conflict (`a prune operation is already running`), invalid_argument (filters). */
  async prune(filter: NetworkFilter): Promise<string[]> {
    checkPruneFilter(filter);
    if (this.#pruning) throw conflict("a prune operation is already running");
    this.#pruning = true;
    try {
      const deleted = await pruneNetworks(
        this.#context,
        withTimes(filter, this.#context.ids.nowNano()),
      );
      inBackground(this.#context, "admit bridges", this.#bridgesChanged());
      return deleted;
    } finally {
      this.#pruning = false;
    }
  }

  /** Errors: see connectNetwork. */
  connect(networkRef: string, containerRef: string, request: ConnectRequest): Promise<void> {
    return connectNetwork(this.#context, networkRef, containerRef, request);
  }

  /** Errors: see disconnectNetwork. */
  disconnect(networkRef: string, containerRef: string, force: boolean): Promise<void> {
    return disconnectNetwork(this.#context, networkRef, containerRef, force);
  }
}

/** `until` as nanoseconds since the epoch. */
function withTimes(filter: NetworkFilter, nowNano: bigint): NetworkFilter {
  const until = filter.get("until");
  if (until === undefined) return filter;
  return new Map([...filter, ["until", until.map((text) => String(parseUntil(text, nowNano)))]]);
}
