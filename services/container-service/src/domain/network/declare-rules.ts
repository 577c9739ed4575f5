/** What a new container may ask of its networks. Texts are Docker's. */
import { internal, invalidArgument } from "@gantry/errors";
import { containsAddress, parseAddress, type Subnet } from "./address.ts";
import { sysctlProblems } from "./interface-sysctls.ts";
import { parseMac } from "./mac-address.ts";
import { defaultBridge, type NetworkMode } from "./network-modes.ts";
import { type BindingsRequest, parseExposedPort, wantedPorts } from "./port-spec.ts";
import { joinProblems } from "./problems.ts";
import type { EndpointWish } from "./records.ts";

/** What is checked: the members of a container's configuration that networks need, lists never absent. */
export interface NetworkChoice {
  readonly mode: NetworkMode;
  readonly hostname: string;
  readonly domainname: string;
  readonly utsMode: string;
  readonly exposedPorts: readonly string[];
  readonly portBindings: readonly BindingsRequest[];
  readonly publishAllPorts: boolean;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly extraHosts: readonly string[];
  readonly links: readonly string[];
  readonly macAddress: string;
}

const conflicting = (what: string): Error => invalidArgument(`conflicting options: ${what}`);

/** Errors: invalid_argument. */
export function checkNetworkChoice(choice: NetworkChoice): void {
  checkModeConflicts(choice);
  checkNames(choice);
  for (const port of choice.exposedPorts) parseExposedPort(port);
  wantedPorts(choice.portBindings, choice.exposedPorts, choice.publishAllPorts);
  if (choice.macAddress !== "" && parseMac(choice.macAddress) === undefined) {
    const name = choice.mode.kind === "network" ? choice.mode.reference : choice.mode.kind;
    throw invalidArgument(
      `invalid config for network ${name}: invalid MAC address ${choice.macAddress}`,
    );
  }
}

function checkModeConflicts(choice: NetworkChoice): void {
  switch (choice.mode.kind) {
    case "container":
      checkSharedNamespace(choice, choice.mode.reference);
      break;
    case "host":
      if (choice.links.length > 0) {
        throw conflicting(
          "host type networking can't be used with links. This would result in undefined behavior",
        );
      }
      break;
    case "none":
    case "network":
      break;
  }
  if (choice.utsMode === "host" && choice.hostname !== "") {
    throw conflicting("hostname and the UTS mode");
  }
}

function checkSharedNamespace(choice: NetworkChoice, reference: string): void {
  if (reference === "") {
    throw invalidArgument("invalid network mode: invalid container format container:<name|id>");
  }
  if (choice.hostname !== "") throw conflicting("hostname and the network mode");
  if (choice.links.length > 0) {
    throw conflicting(
      "container type network can't be used with links. This would result in undefined behavior",
    );
  }
  if (choice.dns.length > 0) throw conflicting("dns and the network mode");
  if (choice.extraHosts.length > 0) {
    throw conflicting("custom host-to-IP mapping and the network mode");
  }
  if (choice.macAddress !== "") throw conflicting("mac-address and the network mode");
  if (choice.portBindings.length > 0 || choice.publishAllPorts) {
    throw conflicting("port publishing and the container type network mode");
  }
  if (choice.exposedPorts.length > 0) {
    throw conflicting("port exposing and the container type network mode");
  }
}

// What is written into hosts and resolv.conf must stay one word.
const word = /^[^\s\0-\x1f\x7f#]+$/;

/** Whether a text stays one word in hosts and resolv.conf. */
export function isWord(text: string): boolean {
  return word.test(text);
}

// As dockerd: what resolver(5) makes of a line is its matter, as long as it stays one line.
const line = /^[^\0-\x08\x0a-\x1f\x7f]*$/;

/** An IP address; of IPv6 also one with the link that it is on (`fe80::1%eth0`). */
function isNameserver(text: string): boolean {
  const plain = text.replace(/(?<=:.*)%[^\s%/]+$/, "");
  return parseAddress(plain) !== undefined;
}

function checkNames(choice: NetworkChoice): void {
  for (const name of [choice.hostname, choice.domainname]) {
    if (name !== "" && !word.test(name))
      throw invalidArgument(`invalid hostname: ${JSON.stringify(name)}`);
  }
  for (const server of choice.dns) {
    if (!isNameserver(server)) {
      throw invalidArgument(`bad nameserver address: ${JSON.stringify(server)}`);
    }
  }
  for (const domain of choice.dnsSearch) {
    if (!line.test(domain))
      throw invalidArgument(`invalid DNS search domain: ${JSON.stringify(domain)}`);
  }
  for (const option of choice.dnsOptions) {
    if (!line.test(option)) throw invalidArgument(`invalid DNS option: ${JSON.stringify(option)}`);
  }
  for (const entry of choice.extraHosts) parseExtraHost(entry);
}

/** The value that stands for the host as a container reaches it. */
export const hostGateway = "host-gateway";

/** A line for the hosts file; `address` may be `host-gateway`. */
export interface ExtraHost {
  readonly name: string;
  readonly address: string;
}

/** `name:address`. Errors: invalid_argument. */
export function parseExtraHost(text: string): ExtraHost {
  const [, name = "", value = ""] = /^([^:]*):(.*)$/s.exec(text) ?? [];
  const address = value.replace(/^\[(.*)\]$/, "$1");
  if (name === "" || !word.test(name)) {
    throw invalidArgument(`bad format for add-host: ${JSON.stringify(text)}`);
  }
  if (address !== hostGateway && parseAddress(address) === undefined) {
    throw invalidArgument(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  }
  return { name, address };
}

/** The network that an endpoint is asked of: its name, and when it exists the subnets that addresses may be asked of. */
export interface AskedNetwork {
  readonly name: string;
  readonly subnets: readonly Subnet[] | undefined;
}

/** What an endpoint may ask of its network. Errors: invalid_argument with all problems. */
export function checkEndpointWish(network: AskedNetwork, wish: EndpointWish): void {
  const problem = endpointProblem(network, wish);
  if (problem !== "") throw invalidArgument(problem);
}

/** What is wrong with an endpoint's settings, or empty. */
export function endpointProblem(network: AskedNetwork, wish: EndpointWish): string {
  const problems = [
    ...defaultBridgeProblems(network.name, wish),
    ...addressProblems(wish),
    ...(network.subnets === undefined ? [] : rangeProblems(network.subnets, wish)),
    ...sysctlProblems(wish),
  ];
  if (problems.length > 0) return `invalid endpoint settings:\n${joinProblems(problems)}`;
  const isMac = wish.macAddress === "" || parseMac(wish.macAddress) !== undefined;
  return isMac ? "" : `invalid MAC address ${wish.macAddress}`;
}

function addressProblems(wish: EndpointWish): string[] {
  const problems: string[] = [];
  const { ipv4Address = "", ipv6Address = "", linkLocalIps = [] } = wish.ipamConfig ?? {};
  if (ipv4Address !== "" && !isUsable(ipv4Address, 4)) {
    problems.push(`invalid IPv4 address: ${ipv4Address}`);
  }
  if (ipv6Address !== "" && !isUsable(ipv6Address, 6)) {
    problems.push(`invalid IPv6 address: ${ipv6Address}`);
  }
  for (const address of linkLocalIps) {
    if (!isUsable(address, 4) && !isUsable(address, 6))
      problems.push(`invalid link-local IP address: ${address}`);
  }
  return problems;
}

function isUsable(text: string, family: 4 | 6): boolean {
  const address = parseAddress(text);
  return address?.family === family && address.value !== 0n;
}

function rangeProblems(subnets: readonly Subnet[], wish: EndpointWish): string[] {
  const { ipv4Address = "", ipv6Address = "" } = wish.ipamConfig ?? {};
  return [...outsideProblem(subnets, ipv4Address, 4), ...outsideProblem(subnets, ipv6Address, 6)];
}

function outsideProblem(all: readonly Subnet[], text: string, family: 4 | 6): string[] {
  if (text === "") return [];
  const address = parseAddress(text);
  const subnets = all.filter((subnet) => subnet.family === family);
  if (address !== undefined && subnets.some((subnet) => containsAddress(subnet, address))) {
    return [];
  }
  return [
    subnets.length === 0
      ? "user specified IP address is supported only when connecting to networks with user configured subnets"
      : `no configured subnet or ip-range contain the IP address ${text}`,
  ];
}

function defaultBridgeProblems(networkRef: string, wish: EndpointWish): string[] {
  if (networkRef !== defaultBridge && networkRef !== "host" && networkRef !== "none") return [];
  const problems: string[] = [];
  const { ipv4Address = "", ipv6Address = "" } = wish.ipamConfig ?? {};
  if (ipv4Address !== "" || ipv6Address !== "") {
    problems.push("user specified IP address is supported on user defined networks only");
  }
  if (wish.aliases.length > 0) {
    problems.push("network-scoped aliases are only supported for user-defined networks");
  }
  return problems;
}

/** A legacy link. */
export interface Link {
  readonly container: string;
  readonly alias: string;
}

/** `container[:alias]`, the alias with a slash or without; `/container:/parent/alias` as inspect shows it is read, too. Errors: internal. */
export function parseLink(text: string): Link {
  if (text === "") throw internal("empty string specified for links");
  const [container = "", alias = container, ...rest] = text.split(":");
  if (rest.length > 0) throw internal(`bad format for links: ${text}`);
  if (!container.startsWith("/")) return { container, alias: alias.replace(/^\/+/, "") };
  return { container: container.slice(1), alias: alias.slice(alias.lastIndexOf("/") + 1) };
}
