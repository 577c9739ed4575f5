/** Brings networks up after a start of the service, whatever the last one left. */
import { parseInterfaceAddress, parseSubnet } from "../../domain/network/address.ts";
import { bridgeOptionNames } from "../../domain/network/bridge-options.ts";
import { completeSubnet } from "../../domain/network/ipam-rules.ts";
import { parseMode } from "../../domain/network/network-modes.ts";
import {
  type ContainerNetworks,
  keptPort,
  type NetworkRecord,
  settled,
} from "../../domain/network/records.ts";
import { chooseSubnet, chooseUniqueLocalSubnet } from "../../domain/network/subnet-choice.ts";
import type { LiveContainer, NetworkedContainer } from "../../ports/networking.ts";
import { bridgeNetworks, bridgeSpec } from "./bridge-state.ts";
import { resolverTexts } from "./container-texts.ts";
import type { NetworkContext } from "./context.ts";
import { refreshHosts } from "./neighbours.ts";
import { aliasPrefix, isOwnName, markOf } from "./network-link.ts";
import { plainSubnet } from "./network-subnets.ts";
import { adoptPorts, redirectOf, relayPorts } from "./publish-ports.ts";
import { releaseNetworks } from "./release-networks.ts";
import { placedOf, settle } from "./settle-endpoints.ts";

/** Reads the records, makes what every engine has, and puts bridges and rules in place. */
export async function openNetworks(context: NetworkContext): Promise<void> {
  loadRecords(context);
  await makePredefined(context);
  if (context.options.ipForward) {
    const ipv6 = bridgeNetworks(context.registry).some((each) => each.enableIpv6 && !each.internal);
    await context.links.enableForwarding({ ipv4: true, ipv6 });
  }
  await removeStrayLinks(context);
  for (const network of bridgeNetworks(context.registry)) {
    await context.links.ensureBridge(bridgeSpec(network), markOf(context, network));
  }
  await makeParents(context);
  await context.rules.change(publishedNow(context).flatMap(redirectOf), []);
}

/** Parents that were made for networks and went with the last end of the engine. */
async function makeParents(context: NetworkContext): Promise<void> {
  const made = context.registry.networks().filter(({ madeParent }) => madeParent !== undefined);
  if (made.length === 0) return;
  const links = await context.links.linkNames();
  for (const network of made) {
    const { madeParent } = network;
    if (madeParent === undefined || links.includes(madeParent.name)) continue;
    await context.links.makeParent(madeParent, markOf(context, network));
  }
}

function loadRecords(context: NetworkContext): void {
  for (const value of context.store.load("network").values()) {
    context.registry.putNetwork(value as NetworkRecord);
  }
  for (const value of context.store.load("endpoint").values()) {
    const kept = value as ContainerNetworks;
    const networks = { ...kept, published: kept.published.map(keptPort) };
    context.registry.putContainer(networks);
    if (!networks.started) continue;
    for (const { networkId, live } of networks.endpoints) {
      if (live !== undefined) context.registry.adoptAddresses(networkId, live);
    }
    adoptPorts(context, networks.published);
  }
}

function publishedNow(context: NetworkContext): ContainerNetworks["published"] {
  return context.registry.containers().flatMap(({ published }) => published);
}

async function makePredefined(context: NetworkContext): Promise<void> {
  const { registry } = context;
  const missing: NetworkRecord[] = [];
  const bridge = registry.byName("bridge");
  if (bridge === undefined || !isAsConfigured(context, bridge)) {
    missing.push(await defaultBridgeRecord(context, bridge));
  }
  for (const [name, driver] of [
    ["host", "host"],
    ["none", "null"],
  ] as const) {
    if (registry.byName(name) === undefined) {
      missing.push(emptyRecord(context, name, driver));
    }
  }
  if (missing.length === 0) return;
  const changes = missing.map((record) => registry.putNetwork(record));
  await context.store.commit(changes, [], { durable: true });
}

/** The configuration may have changed since the record was made; with containers on it, it stays. */
function isAsConfigured(context: NetworkContext, bridge: NetworkRecord): boolean {
  if (context.registry.liveMembers(bridge.id).length > 0) return true;
  const { bridgeAddress, fixedCidr = "" } = context.options;
  const [config] = bridge.ipam.config;
  const options = bridgeOptions(context);
  const sameOptions = Object.entries(options).every(
    ([key, value]) => bridge.options[key] === value,
  );
  const wanted = bridgeAddress === undefined ? undefined : parseInterfaceAddress(bridgeAddress);
  const sameAddress =
    wanted === undefined || bridgeAddress === `${config?.gateway}/${wanted.subnet.prefixLength}`;
  return (
    sameOptions &&
    sameAddress &&
    Object.keys(options).length === Object.keys(bridge.options).length &&
    bridge.enableIpv6 === context.options.ipv6 &&
    (config?.ipRange ?? "") === fixedCidr
  );
}

function bridgeOptions(context: NetworkContext): Record<string, string> {
  const { options } = context;
  return {
    [bridgeOptionNames.defaultBridge]: "true",
    [bridgeOptionNames.interContainer]: String(options.interContainer),
    [bridgeOptionNames.masquerade]: String(options.ipMasquerade),
    [bridgeOptionNames.hostBinding]: options.defaultHostAddress,
    [bridgeOptionNames.name]: `${options.linkPrefix}0`,
    [bridgeOptionNames.mtu]: String(options.mtu ?? 1500),
  };
}

async function defaultBridgeRecord(
  context: NetworkContext,
  before: NetworkRecord | undefined,
): Promise<NetworkRecord> {
  const { options, registry } = context;
  const link = `${options.linkPrefix}0`;
  const used = await context.links.usedSubnets(
    new Set([link, ...registry.networks().map((network) => network.link)]),
  );
  const others = registry.networks().filter((network) => network.id !== before?.id);
  const taken = [
    ...used,
    ...others.flatMap(({ ipam }) => ipam.config.map(({ subnet }) => subnet)),
  ].flatMap((text) => parseSubnet(text) ?? []);
  const config = [
    options.bridgeAddress === undefined
      ? completeSubnet(plainSubnet(chooseSubnet(options.defaultAddressPools, taken)))
      : configuredSubnet(options.bridgeAddress, options.fixedCidr ?? ""),
  ];
  if (options.ipv6) {
    config.push(
      completeSubnet(plainSubnet(chooseUniqueLocalSubnet(options.uniqueLocalSeed, taken))),
    );
  }
  return {
    ...emptyRecord(context, "bridge", "bridge"),
    ...(before === undefined ? {} : { id: before.id, createdNano: before.createdNano }),
    enableIpv6: options.ipv6,
    ipam: { driver: "default", options: {}, config },
    options: bridgeOptions(context),
    link,
  };
}

/** `bip`: the bridge's own address with its prefix length. */
function configuredSubnet(
  bridgeAddress: string,
  fixedCidr: string,
): NetworkRecord["ipam"]["config"][number] {
  const [gateway = ""] = bridgeAddress.split("/");
  return completeSubnet({
    subnet: bridgeAddress,
    ipRange: fixedCidr,
    gateway,
    auxiliaryAddresses: {},
  });
}

function emptyRecord(
  context: NetworkContext,
  name: string,
  driver: NetworkRecord["driver"],
): NetworkRecord {
  return {
    id: context.ids.id(),
    name,
    createdNano: String(context.ids.nowNano()),
    driver,
    enableIpv4: true,
    enableIpv6: false,
    internal: false,
    attachable: false,
    configOnly: false,
    configFrom: "",
    ipam: { driver: "default", options: {}, config: [] },
    options: {},
    labels: {},
    link: "",
  };
}

/** Links with our names or marks that no record owns: of creations and removals that a crash cut short. */
async function removeStrayLinks(context: NetworkContext): Promise<void> {
  const { links } = context;
  const owned = new Set(context.registry.networks().map((network) => network.link));
  const named = (
    await Promise.all([
      links.linkNames("bridge"),
      links.linkNames("dummy"),
      links.linkNames("vlan"),
    ])
  ).flat();
  const ours = new Set([
    ...named.filter((name) => isOwnName(context, name)),
    ...(await links.markedLinks(aliasPrefix(context))),
  ]);
  for (const name of ours) {
    if (owned.has(name)) continue;
    context.logger.warn({ link: name }, "removing a link that no network owns");
    await links.removeLink(name);
  }
}

/** What adoption found is made true: endpoints of the dead are released, ports of the living restored. */
export async function reconcileNetworks(
  context: NetworkContext,
  live: readonly LiveContainer[],
  known: ReadonlySet<string>,
): Promise<void> {
  const pids = new Map(live.map(({ container, pid }) => [container.id, pid]));
  for (const networks of context.registry.containers()) {
    const pid = pids.get(networks.containerId);
    if (pid === undefined) releaseNetworks(context, networks.containerId);
    // Who shares another one's network holds nothing.
    else if (parseMode(networks.mode).kind !== "container")
      context.registry.putContainer({ ...networks, pid, started: true });
    if (!known.has(networks.containerId)) {
      await context.store.commit([context.registry.removeContainer(networks.containerId)], []);
    }
  }
  const hadStrays = await removeStrayPorts(context);
  const published = publishedNow(context);
  const lost = await context.relay.restore(relayPorts(published));
  if (lost.length > 0) context.logger.error({ ports: lost }, "published ports are held by others");
  await context.rules.change(published.flatMap(redirectOf), []);
  for (const { container } of live) {
    void refreshHosts(context, container.id);
    await renewNames(context, container);
    const wasUnsettled = await removeUnsettled(context, container.id);
    if (hadStrays || wasUnsettled) await settleAgain(context, container.id);
  }
}

/**
 * Host ends of interfaces that no record knows: of connects and disconnects that a crash cut short. Their other
 * ends are in running containers, whose next interface could not have the name. Whether there were any.
 */
async function removeStrayPorts(context: NetworkContext): Promise<boolean> {
  const prefix = `${context.options.linkPrefix}_`;
  const endpoints = context.registry.containers().flatMap((each) => each.endpoints);
  const owned = new Set(endpoints.flatMap(({ live }) => live?.hostName ?? []));
  const strays = (await context.links.linkNames()).filter(
    (name) => name.length === 15 && name.startsWith(prefix) && !owned.has(name),
  );
  for (const name of strays) {
    context.logger.warn({ link: name }, "removing an interface that no container has");
    await context.links.removeLink(name);
  }
  return strays.length > 0;
}

/** The same for an interface without an end on the host. */
async function removeUnsettled(context: NetworkContext, id: string): Promise<boolean> {
  const networks = context.registry.container(id);
  if (networks?.unsettled === undefined) return false;
  const { pid, unsettled } = networks;
  context.logger.warn({ container: id, link: unsettled }, "removing an interface under way");
  await context.links.detach(pid, { interfaceName: unsettled, hostName: "" });
  await context.store.commit([context.registry.putContainer(settled(networks))], []);
  return true;
}

/** Routes and ports may have followed an interface that is gone. */
async function settleAgain(context: NetworkContext, id: string): Promise<void> {
  const networks = context.registry.container(id);
  if (networks === undefined || parseMode(networks.mode).kind !== "network") return;
  const placed = placedOf(context, networks.endpoints);
  try {
    await settle(context, context.directory.find(id), networks, placed, {
      before: undefined,
      events: [],
    });
  } catch (error) {
    // It may be ending just now; the others are to be served all the same.
    context.logger.error({ err: error, container: id }, "routes and ports were not set anew");
  }
}

/** What came and went while nobody told its name server. */
async function renewNames(context: NetworkContext, container: NetworkedContainer): Promise<void> {
  const networks = context.registry.container(container.id);
  if (networks === undefined || parseMode(networks.mode).kind !== "network") return;
  const { names } = await resolverTexts(context, container, networks);
  if (names !== undefined) context.names.renew(container.id, names);
}
