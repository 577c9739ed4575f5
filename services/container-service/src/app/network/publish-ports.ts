/** Takes host ports for a container and leads them to it; and lets them go. */
import { internal, invalidArgument } from "@gantry/errors";
import {
  type Address,
  type Family,
  formatAddress,
  parseAddress,
  parseInterfaceAddress,
} from "../../domain/network/address.ts";
import { formatHostPort } from "../../domain/network/port-allocator.ts";
import type { WantedPort } from "../../domain/network/port-spec.ts";
import type { LiveEndpoint, PublishedPort } from "../../domain/network/records.ts";
import type { RedirectedPort } from "../../domain/network/ruleset.ts";
import type { HostLinks, RelayPort } from "../../ports/network-host.ts";
import { inBackground, type NetworkContext } from "./context.ts";

/** Ephemeral ports that are tried when programs of the host have them. */
const ephemeralAttempts = 10;

/** What publishing needs of the context. */
export type PublishContext = Pick<
  NetworkContext,
  "ports" | "rules" | "relay" | "udpFlows" | "hostHasIpv6" | "logger"
> & { readonly links: Pick<HostLinks, "forgetUdpFlows" | "hasSctp"> };

/** Where the ports of a container lead to. */
export interface PublishTarget {
  readonly live: Pick<LiveEndpoint, "ipv4" | "ipv6">;
  /** Families in which callers come by a route to the container, not by ports of the host. */
  readonly routed: readonly Family[];
  /** Families in which interfaces that the network trusts come by a route, too. */
  readonly trusting: readonly Family[];
  /** Host address for wishes that name none. */
  readonly defaultHostAddress: string;
}

/**
 * All or nothing. Errors: internal with Docker's texts (port taken), and what relay and rules say.
 */
export async function publishPorts(
  context: PublishContext,
  wanted: readonly WantedPort[],
  target: PublishTarget,
): Promise<PublishedPort[]> {
  const published: PublishedPort[] = [];
  // Who has a choice leaves the ports to those who have none.
  const inTurn = [...wanted].sort((one, other) => choiceOf(one) - choiceOf(other));
  try {
    await bindAll(context, inTurn, target, published);
    await changeRules(context, published.flatMap(redirectOf), []);
    return published;
  } catch (error) {
    unpublishPorts(context, published);
    throw error;
  }
}

/** How many host ports would do. */
function choiceOf({ hostPorts }: WantedPort): number {
  return hostPorts === undefined ? Infinity : hostPorts.last - hostPorts.first;
}

/** Gives the ports back at once; the kernel and the relay follow in the background, in order. */
export function unpublishPorts(context: PublishContext, published: readonly PublishedPort[]): void {
  if (published.length === 0) return;
  giveBack(context, published);
  inBackground(
    context,
    "remove redirects",
    changeRules(context, [], published.flatMap(redirectOf)),
  );
  inBackground(context, "close relay ports", context.relay.close(relayPorts(published)));
}

async function changeRules(
  { rules, links, udpFlows }: PublishContext,
  added: readonly RedirectedPort[],
  removed: readonly RedirectedPort[],
): Promise<void> {
  if (added.some(isUdp)) await udpFlows.forgotten();
  const changed = rules.change(added, removed);
  const ports = [...added, ...removed]
    .filter(isUdp)
    .flatMap(({ hostPort }) => (hostPort === undefined ? [] : [hostPort]));
  if (ports.length === 0) await changed;
  else await udpFlows.forget(changed.then(() => links.forgetUdpFlows(ports)));
}

function isUdp({ protocol, hostPort }: RedirectedPort): boolean {
  return protocol === "udp" && hostPort !== undefined;
}

function giveBack(context: PublishContext, published: readonly PublishedPort[]): void {
  for (const port of published.filter(isOfHost)) context.ports.giveBack(heldOf(port));
}

/** A port that the host has, not only the container. */
type HostPort = PublishedPort & { readonly hostPort: number };

function isOfHost(port: PublishedPort): port is HostPort {
  return port.hostPort !== undefined;
}

/** First all at once, which nearly always goes well; then one by one, to find out what is in the way. */
async function bindAll(
  context: PublishContext,
  wanted: readonly WantedPort[],
  target: PublishTarget,
  published: PublishedPort[],
): Promise<void> {
  for (const wish of wanted) published.push(...holdNext(context, wish, target));
  await checkSctp(context, published);
  if (await context.relay.listen(relayPorts(published))) return;
  giveBack(context, published.splice(0));
  for (const wish of wanted) published.push(...(await bindOne(context, wish, target)));
}

/** The relay holds no socket of this protocol, so whether the kernel has it is asked otherwise. */
async function checkSctp(
  context: PublishContext,
  published: readonly PublishedPort[],
): Promise<void> {
  const port = published.filter(isOfHost).find(({ protocol }) => protocol === "sctp");
  if (port === undefined || (await context.links.hasSctp())) return;
  const where = formatHostPort(addressOf(port.hostIp), port.hostPort);
  throw internal(`failed to bind host port ${where}/sctp: protocol not supported`);
}

/** Takes the first port of the wish that none of our containers has. */
function holdNext(
  context: PublishContext,
  wish: WantedPort,
  target: PublishTarget,
): PublishedPort[] {
  const sides = hostSides(context, wish, target);
  const addresses = boundAddresses(sides);
  if (addresses.length === 0) return routedPorts(wish, sides, target);
  for (const port of candidates(context, wish, addresses)) {
    if (isHeld(context, wish, addresses, port)) continue;
    return hold(context, wish, sides, port, target);
  }
  throw noneFree(context, wish, addresses);
}

function candidates(
  { ports }: PublishContext,
  { container, hostPorts }: WantedPort,
  addresses: readonly Address[],
): Iterable<number> {
  return ports.candidates(container.protocol, addresses, hostPorts);
}

async function bindOne(
  context: PublishContext,
  wish: WantedPort,
  target: PublishTarget,
): Promise<PublishedPort[]> {
  const sides = hostSides(context, wish, target);
  const addresses = boundAddresses(sides);
  if (addresses.length === 0) return routedPorts(wish, sides, target);
  let refused: Error | undefined;
  let attempts = 0;
  for (const port of candidates(context, wish, addresses)) {
    if (isHeld(context, wish, addresses, port)) continue;
    const published = hold(context, wish, sides, port, target);
    if (await listenOrGiveBack(context, published)) return published;
    refused = await inUseByHost(context, published);
    attempts++;
    if (wish.hostPorts === undefined && attempts === ephemeralAttempts) break;
  }
  throw refused ?? noneFree(context, wish, addresses);
}

async function listenOrGiveBack(
  context: PublishContext,
  published: readonly PublishedPort[],
): Promise<boolean> {
  let listening = false;
  try {
    listening = await context.relay.listen(relayPorts(published));
    return listening;
  } finally {
    if (!listening) giveBack(context, published);
  }
}

function isHeld(
  context: PublishContext,
  wish: WantedPort,
  addresses: readonly Address[],
  port: number,
): boolean {
  return addresses.some((address) => !context.ports.isFree(wish.container.protocol, address, port));
}

function hold(
  context: PublishContext,
  wish: WantedPort,
  sides: readonly HostSide[],
  port: number,
  target: PublishTarget,
): PublishedPort[] {
  const { protocol } = wish.container;
  const addresses = boundAddresses(sides);
  if (addresses.length > 0) {
    context.ports.hold(protocol, addresses, port, wish.hostPorts);
  }
  return sides.map((side) =>
    side.isRouted
      ? routedPort(wish, side, target)
      : {
          ...targetOf(wish, target),
          hostIp: formatAddress(side.address),
          hostPort: port,
          ...(target.trusting.includes(side.address.family) ? { isTrusting: true } : {}),
        },
  );
}

/** Nothing of the host is needed for them. */
function routedPorts(
  wish: WantedPort,
  sides: readonly HostSide[],
  target: PublishTarget,
): PublishedPort[] {
  return sides.map((side) => routedPort(wish, side, target));
}

function routedPort(wish: WantedPort, { address }: HostSide, target: PublishTarget): PublishedPort {
  const hostIp = formatAddress({ family: address.family, value: 0n });
  return { ...targetOf(wish, target), hostIp };
}

function targetOf(
  { container }: WantedPort,
  { live }: PublishTarget,
): Pick<PublishedPort, "container" | "protocol" | "targetIpv4" | "targetIpv6"> {
  return {
    container,
    protocol: container.protocol,
    targetIpv4: plainAddress(live.ipv4),
    targetIpv6: plainAddress(live.ipv6),
  };
}

function plainAddress(text: string): string {
  return text.replace(/\/.*$/, "");
}

/** Where callers of one family come in. */
interface HostSide {
  readonly address: Address;
  /** Not by the host's address, but by a route to the container. */
  readonly isRouted: boolean;
}

/** IPv4 leads to IPv4 only, IPv6 to either. */
function hostSides(
  context: PublishContext,
  wish: WantedPort,
  { live, routed, ...target }: PublishTarget,
): HostSide[] {
  return hostAddresses(context, wish, target)
    .filter(({ family }) => live.ipv4 !== "" || (family === 6 && live.ipv6 !== ""))
    .map((address) => {
      const hasOwn = address.family === 4 || live.ipv6 !== "";
      return { address, isRouted: hasOwn && routed.includes(address.family) };
    });
}

function boundAddresses(sides: readonly HostSide[]): Address[] {
  return sides.filter(({ isRouted }) => !isRouted).map(({ address }) => address);
}

/** No address named: all of the host, by both families. */
function hostAddresses(
  context: PublishContext,
  wish: WantedPort,
  target: Pick<PublishTarget, "defaultHostAddress">,
): Address[] {
  if (wish.hostAddress !== undefined) return [wish.hostAddress];
  const address = parseAddress(target.defaultHostAddress);
  if (address === undefined) {
    throw invalidArgument(`invalid default host address ${target.defaultHostAddress}`);
  }
  const everywhere = address.family === 4 && address.value === 0n && context.hostHasIpv6;
  return everywhere ? [address, { family: 6, value: 0n }] : [address];
}

function noneFree(
  { ports }: PublishContext,
  { container, hostPorts }: WantedPort,
  addresses: readonly Address[],
): Error {
  if (hostPorts?.first === hostPorts?.last && hostPorts !== undefined) {
    ports.checkFree(container.protocol, addresses, hostPorts.first);
  }
  return internal("all ports are allocated");
}

/** Names the first of the sides that cannot be had by itself. */
async function inUseByHost(
  context: PublishContext,
  published: readonly PublishedPort[],
): Promise<Error> {
  const sides = published.filter(isOfHost);
  let refused = sides.at(-1);
  for (const side of sides.slice(0, -1)) {
    if (!(await context.relay.listen(relayPorts([side])))) {
      refused = side;
      break;
    }
    await context.relay.close(relayPorts([side]));
  }
  const where =
    refused === undefined ? "" : formatHostPort(addressOf(refused.hostIp), refused.hostPort);
  return internal(
    `failed to bind host port ${where}/${refused?.protocol ?? ""}: address already in use`,
  );
}

function heldOf(port: HostPort): {
  protocol: PublishedPort["protocol"];
  address: Address;
  port: number;
} {
  return { protocol: port.protocol, address: addressOf(port.hostIp), port: port.hostPort };
}

function addressOf(text: string): Address {
  const address = parseAddress(text) ?? parseInterfaceAddress(text)?.address;
  if (address === undefined) throw internal(`not an address: ${text}`);
  return address;
}

/** Takes ports of a container that runs since before a restart of ours. */
export function adoptPorts(context: PublishContext, published: readonly PublishedPort[]): void {
  for (const port of published.filter(isOfHost)) context.ports.adopt(heldOf(port));
}

function isLoopback(address: Address): boolean {
  return address.family === 4 ? address.value >> 24n === 127n : address.value === 1n;
}

/** What the kernel redirects or lets through: nothing for loopback addresses and from one family to the other. */
export function redirectOf(port: PublishedPort): RedirectedPort[] {
  const host = addressOf(port.hostIp);
  const target = host.family === 4 ? port.targetIpv4 : port.targetIpv6;
  if (target === "") return [];
  const place: RedirectedPort = {
    protocol: port.protocol,
    containerAddress: addressOf(target),
    containerPort: port.container.port,
  };
  const hostAddress = host.value === 0n ? undefined : host;
  return [
    ...(port.isTrusting === true ? [{ ...place, onlyTrusted: true }] : []),
    ...(isLoopback(host) ? [] : [{ ...place, hostAddress, ...hostPortOf(port) }]),
  ];
}

function hostPortOf({ hostPort }: PublishedPort): { hostPort?: number } {
  return hostPort === undefined ? {} : { hostPort };
}

/** What the relay holds: everything that it can speak. */
export function relayPorts(published: readonly PublishedPort[]): RelayPort[] {
  return published
    .filter(isOfHost)
    .filter(({ protocol }) => protocol !== "sctp")
    .map((port) => {
      const isIpv4 = addressOf(port.hostIp).family === 4;
      const [same, other] = isIpv4
        ? [port.targetIpv4, port.targetIpv6]
        : [port.targetIpv6, port.targetIpv4];
      return {
        protocol: port.protocol,
        hostIp: port.hostIp,
        hostPort: port.hostPort,
        targetIp: same === "" ? other : same,
        targetPort: port.container.port,
      };
    });
}
