/** Makes a network: checks it, finds its subnets, and puts bridge and rules in place. */
import {
  alreadyExists,
  internal,
  invalidArgument,
  notFound,
  permissionDenied,
} from "@gantry/errors";
import { formatSubnet, overlaps, parseSubnet, type Subnet } from "../../domain/network/address.ts";
import {
  checkIsolation,
  isIsolated,
  parseBridgeOptions,
} from "../../domain/network/bridge-options.ts";
import { completeSubnet, ipamProblems } from "../../domain/network/ipam-rules.ts";
import { predefinedNames } from "../../domain/network/network-modes.ts";
import {
  checkVlanOptions,
  isRoutedByParent,
  type MadeParent,
  vlanParent,
} from "../../domain/network/parent-link.ts";
import { joinProblems } from "../../domain/network/problems.ts";
import type {
  IpamRecord,
  NetworkDriver,
  NetworkRecord,
  SubnetRecord,
} from "../../domain/network/records.ts";
import { chooseSubnet, chooseUniqueLocalSubnet } from "../../domain/network/subnet-choice.ts";
import { bridgeSpec, ownLink } from "./bridge-state.ts";
import type { NetworkContext } from "./context.ts";

/** What a network is made from. */
export interface NewNetwork {
  readonly name: string;
  /** Empty: bridge. */
  readonly driver: string;
  /** Empty: `local`. `swarm` needs one; whatever else is kept, and has no meaning. */
  readonly scope: string;
  readonly enableIpv4: boolean;
  readonly enableIpv6: boolean;
  readonly ipam: IpamRecord;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ingress: boolean;
  readonly configOnly: boolean;
  /** Name of a config-only network, or empty. */
  readonly configFrom: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Errors: already_exists (name), permission_denied (predefined name, overlapping subnet, swarm), invalid_argument,
 * not_found (driver), internal (driver options, addresses). After an error nothing is left.
 */
export async function createNetwork(
  context: NetworkContext,
  request: NewNetwork,
): Promise<NetworkRecord> {
  checkName(context, request);
  const wanted = fromConfiguration(context, request);
  const driver = driverOf(wanted);
  checkAddressing(wanted);
  if (driver !== "bridge") checkVlanOptions(driver, wanted.options);
  else if (!wanted.configOnly) checkBridge(wanted);
  const used = await context.links.usedSubnets(ourLinks(context));
  const links = await context.links.linkNames();
  const bridges = await context.links.linkNames("bridge");
  // From here to the registry nothing waits: two creations never see the same free subnet or name.
  checkName(context, request);
  const record = withLink(recordOf(context, wanted, driver, used), links, bridges);
  if (driver === "bridge") checkBridgeSubnets(record);
  checkLink(context, record);
  const change = context.registry.putNetwork(record);
  try {
    await establish(context, record);
    await context.store.commit(
      [change],
      [
        {
          type: "network",
          action: "create",
          actorId: record.id,
          attributes: { name: record.name, type: record.driver },
        },
      ],
      { durable: true },
    );
  } catch (error) {
    await abandon(context, record);
    throw error;
  }
  return record;
}

function checkName(context: NetworkContext, { name }: NewNetwork): void {
  if (name.trim() === "") throw invalidArgument("invalid name: name is empty");
  if (/[\0-\x1f\x7f]/.test(name)) {
    throw invalidArgument(
      `invalid network name ${JSON.stringify(name)}: only printable characters are allowed`,
    );
  }
  if (predefinedNames.includes(name) || name === "default") {
    throw permissionDenied(`operation is not permitted on predefined ${name} network `);
  }
  if (context.registry.byName(name) !== undefined) {
    throw alreadyExists(`network with name ${name} already exists`);
  }
}

/** A network made from a configuration takes everything but its name from there. */
function fromConfiguration(context: NetworkContext, request: NewNetwork): NewNetwork {
  checkSwarm(request);
  checkConfiguration(request);
  if (request.configFrom === "") return request;
  const config = context.registry.byName(request.configFrom);
  if (config?.configOnly !== true) {
    const message = `configuration network ${JSON.stringify(request.configFrom)} does not exist`;
    throw notFound("network", request.configFrom, message);
  }
  return {
    ...request,
    ipam: config.ipam,
    enableIpv4: config.enableIpv4,
    enableIpv6: config.enableIpv6,
    options: config.options,
    labels: config.labels,
  };
}

const notManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

function checkSwarm(request: NewNetwork): void {
  if (request.ingress && request.driver === "overlay") throw permissionDenied(notManager);
  if (request.ingress) throw permissionDenied("Ingress network can only be global scope network");
  if (request.scope === "swarm") {
    throw permissionDenied("cannot create a swarm scoped network when swarm is not active");
  }
}

function checkConfiguration(request: NewNetwork): void {
  const { configOnly, configFrom, ipam } = request;
  if (configOnly && (request.internal || request.attachable || request.scope !== "")) {
    throw permissionDenied(
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    );
  }
  if (configFrom === "") return;
  if (configOnly) {
    throw permissionDenied(
      "a configuration network cannot depend on another configuration network",
    );
  }
  const isOtherIpam = ipam.driver !== "" && ipam.driver !== "default";
  const count = Object.keys(request.labels).length + Object.keys(ipam.options).length;
  if (isOtherIpam || !request.enableIpv4 || request.enableIpv6 || count + ipam.config.length > 0) {
    throw permissionDenied(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
  }
  if (Object.keys(request.options).length > 0) {
    throw permissionDenied(
      "network driver options are not supported if the network depends on a configuration network",
    );
  }
}

/** What is there of its link already. Errors: internal (a bridge's name is another link's). */
function withLink(
  record: NetworkRecord,
  links: readonly string[],
  bridges: readonly string[],
): NetworkRecord {
  const { link, driver, options } = record;
  const isThere = links.includes(link);
  if (driver === "bridge") {
    if (isThere && !bridges.includes(link)) {
      throw internal(`existing interface ${link} is not a bridge`);
    }
    return isThere ? { ...record, isFoundBridge: true } : record;
  }
  if (link === "" || isThere) return record;
  const madeParent: MadeParent =
    (options["parent"] ?? "") === "" ? { kind: "dummy", name: link } : vlanParent(link, links);
  return { ...record, madeParent };
}

function driverOf(request: NewNetwork): "bridge" | "macvlan" | "ipvlan" {
  const driver = request.driver === "" || request.driver === "default" ? "bridge" : request.driver;
  switch (driver) {
    case "bridge":
    case "macvlan":
    case "ipvlan":
      return driver;
    case "host":
    case "null":
      throw permissionDenied(`only one instance of "${driver}" network is allowed`);
    case "overlay":
      throw permissionDenied(notManager);
    default:
      throw notFound("plugin", driver, `plugin "${driver}" not found`);
  }
}

function checkAddressing(request: NewNetwork): void {
  if (!request.enableIpv4 && !request.enableIpv6 && !request.configOnly) {
    throw invalidArgument("IPv4 or IPv6 must be enabled");
  }
  if (request.ipam.driver === "null") throw invalidArgument("ipv4 pool is empty");
  if (request.ipam.driver !== "default" && request.ipam.driver !== "") {
    throw notFound("plugin", request.ipam.driver, `plugin "${request.ipam.driver}" not found`);
  }
  const problems = ipamProblems(request.ipam.config, request.enableIpv6);
  if (problems.length > 0) {
    throw invalidArgument(`invalid network config:\n${joinProblems(problems)}`);
  }
}

/** A configuration's options are read when a network is made from it. */
function checkBridge({ options, internal }: NewNetwork): void {
  parseBridgeOptions(options);
  checkIsolation(options, internal);
}

/** A bridge has one subnet of each family, and is in no group of hosts. */
function checkBridgeSubnets({ ipam, configOnly }: NetworkRecord): void {
  const subnets4 = ipam.config.filter(({ subnet }) => !subnet.includes(":"));
  const subnets6 = ipam.config.filter(({ subnet }) => subnet.includes(":"));
  if (subnets4.length > 1) {
    throw permissionDenied("bridge driver doesn't support multiple subnets");
  }
  if (subnets6.length > 1) {
    throw permissionDenied("bridge driver doesn't support multiple IPv6 subnets");
  }
  const multicast = configOnly ? undefined : subnets6.find(({ subnet }) => subnet.startsWith("ff"));
  if (multicast !== undefined) {
    const length = multicast.subnet.replace(/^.*\//, "");
    throw invalidArgument(`multicast subnet '${multicast.gateway}/${length}' is not allowed`);
  }
}

function ourLinks(context: NetworkContext): ReadonlySet<string> {
  return new Set(context.registry.networks().map((network) => network.link));
}

function recordOf(
  context: NetworkContext,
  request: NewNetwork,
  driver: NetworkDriver,
  used: readonly string[],
): NetworkRecord {
  const id = context.ids.id();
  return {
    id,
    name: request.name,
    createdNano: String(context.ids.nowNano()),
    driver,
    ...(["", "local"].includes(request.scope) ? {} : { scope: request.scope }),
    enableIpv4: request.enableIpv4,
    enableIpv6: request.enableIpv6,
    internal: request.internal,
    attachable: request.attachable,
    configOnly: request.configOnly,
    configFrom: request.configFrom,
    ipam: {
      driver: "default",
      options: request.ipam.options,
      ...(request.ipam.hasOptions === true ? { hasOptions: true } : {}),
      config: request.configOnly ? request.ipam.config : subnetsOf(context, request, driver, used),
      ...(request.configOnly ? {} : unusedOf(request)),
    },
    options: request.options,
    labels: request.labels,
    link: request.configOnly ? "" : linkOf(context, request, driver, id),
  };
}

function subnetsOf(
  context: NetworkContext,
  request: NewNetwork,
  driver: NetworkDriver,
  used: readonly string[],
): SubnetRecord[] {
  const ours = context.registry
    .networks()
    .flatMap((network) => (network.configOnly ? [] : network.ipam.config))
    .flatMap((config) => parseSubnet(config.subnet) ?? []);
  const taken: Subnet[] = [...ours, ...used.flatMap((text) => parseSubnet(text) ?? [])];
  const config = request.ipam.config
    .map((each) => ({
      ...completeSubnet(each),
      ...(each.gateway === "" ? { isGatewayChosen: true } : {}),
    }))
    .filter((each) => isEnabled(each, request));
  for (const [index, each] of config.entries()) checkOverlap(each, ours, config.slice(0, index));
  if (request.enableIpv4 && !config.some((each) => !each.subnet.includes(":"))) {
    const subnet = chooseSubnet(context.options.defaultAddressPools, taken);
    config.push({ ...completeSubnet(plainSubnet(subnet)), isChosen: true });
  }
  if (request.enableIpv6 && !config.some((each) => each.subnet.includes(":"))) {
    const subnet = chooseUniqueLocalSubnet(context.options.uniqueLocalSeed, taken);
    config.push({ ...completeSubnet(plainSubnet(subnet)), isChosen: true });
  }
  return config.map((each) => {
    const isOurs = each.isChosen === true || each.isGatewayChosen === true;
    return isOurs && !needsGateway(each, request, driver) ? { ...each, gateway: "" } : each;
  });
}

/**
 * Nobody is the way out where a bridge has no address and nothing leads to it, of an internal network without a
 * bridge, or where the parent itself routes.
 */
function needsGateway(config: SubnetRecord, request: NewNetwork, driver: NetworkDriver): boolean {
  if (driver !== "bridge") return !(request.internal || isRoutedByParent(driver, request));
  const { options, internal } = request;
  if (config.subnet.includes(":")) return !isIsolated(options, "ipv6");
  return !(isIsolated(options, "ipv4") || (internal && parseBridgeOptions(options).inhibitIpv4));
}

function unusedOf(request: NewNetwork): Pick<IpamRecord, "unused"> {
  const unused = request.ipam.config.filter((each) => !isEnabled(each, request));
  return unused.length === 0 ? {} : { unused };
}

function isEnabled(config: SubnetRecord, request: NewNetwork): boolean {
  return config.subnet.includes(":") ? request.enableIpv6 : request.enableIpv4;
}

/** A subnet with nothing else asked for. */
export function plainSubnet(subnet: Subnet): SubnetRecord {
  return { subnet: formatSubnet(subnet), ipRange: "", gateway: "", auxiliaryAddresses: {} };
}

function checkOverlap(
  config: SubnetRecord,
  ours: readonly Subnet[],
  earlier: readonly SubnetRecord[],
): void {
  const subnet = parseSubnet(config.subnet);
  const others = [...ours, ...earlier.flatMap((each) => parseSubnet(each.subnet) ?? [])];
  if (subnet !== undefined && others.some((other) => overlaps(other, subnet))) {
    throw permissionDenied(
      "invalid pool request: Pool overlaps with other one on this address space",
    );
  }
}

function linkOf(
  context: NetworkContext,
  request: NewNetwork,
  driver: NetworkDriver,
  id: string,
): string {
  if (driver === "bridge") {
    return (
      parseBridgeOptions(request.options).name ?? `${context.options.linkPrefix}-${id}`.slice(0, 15)
    );
  }
  // Without a parent it gets one that leads nowhere.
  return request.options["parent"] || `${context.options.linkPrefix}-${id}`.slice(0, 15);
}

function checkLink(context: NetworkContext, record: NetworkRecord): void {
  if (record.driver === "macvlan" || record.driver === "ipvlan") checkParentIsFree(context, record);
  if (record.driver !== "bridge" || record.link === "") return;
  const other = context.registry.networks().find((network) => network.link === record.link);
  if (other === undefined) return;
  throw permissionDenied(
    `cannot create network ${record.id} (${record.link}): conflicts with network ${other.id} (${other.link}): networks have same bridge name`,
  );
}

/** One ipvlan network has a parent for itself, so has a macvlan network in mode passthru. */
function checkParentIsFree({ registry }: NetworkContext, record: NetworkRecord): void {
  const { driver, link } = record;
  const other = registry
    .networks()
    .find((network) => network.driver === driver && network.link === link && !network.configOnly);
  if (other === undefined || record.configOnly) return;
  const uses = `is already using parent interface ${link}`;
  if (driver === "ipvlan") throw internal(`network di-${other.id.slice(0, 12)} ${uses}`);
  const isPassthru = ({ options }: NetworkRecord): boolean =>
    options["macvlan_mode"] === "passthru";
  if (isPassthru(record)) {
    throw internal(`cannot use mode passthru, macvlan network ${other.id} ${uses}`);
  }
  if (isPassthru(other)) throw internal(`macvlan network ${other.id} ${uses} in mode passthru`);
}

async function establish(context: NetworkContext, record: NetworkRecord): Promise<void> {
  if (record.madeParent !== undefined) await context.links.makeParent(record.madeParent);
  if (record.driver !== "bridge" || record.configOnly) return;
  // Rules know bridges by name, and wait for the kernel: neither needs the other to be there.
  const rules = context.rules.rewrite();
  const link = makeBridge(context, record);
  await Promise.allSettled([rules, link]);
  await Promise.all([link, rules]);
}

async function makeBridge({ links }: NetworkContext, record: NetworkRecord): Promise<void> {
  await links.ensureBridge(bridgeSpec(record));
  if (record.enableIpv6 && !record.internal) {
    await links.enableForwarding({ ipv4: false, ipv6: true });
  }
}

async function abandon(context: NetworkContext, record: NetworkRecord): Promise<void> {
  context.registry.removeNetwork(record.id);
  const link = ownLink(record);
  try {
    if (link !== "") await context.links.removeLink(link);
    if (record.driver === "bridge") await context.rules.rewrite();
  } catch (error) {
    context.logger.error({ err: error, network: record.id }, "network could not be taken back");
  }
}
