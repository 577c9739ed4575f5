/** What a network is asked for with, and what may be asked for. Texts are Docker's. */
import { alreadyExists, invalidArgument, notFound, permissionDenied } from "@gantry/errors";
import { checkBridgeOptions, checkIsolation } from "../../domain/network/bridge-options.ts";
import { ipamProblems } from "../../domain/network/ipam-rules.ts";
import { predefinedNames } from "../../domain/network/network-modes.ts";
import { joinProblems } from "../../domain/network/problems.ts";
import type { IpamRecord } from "../../domain/network/records.ts";
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

/** Errors: invalid_argument, permission_denied (predefined), already_exists. */
export function checkName(context: NetworkContext, { name }: NewNetwork): void {
  if (name.trim() === "") throw invalidArgument("invalid name: name is empty");
  if (/[\0-\x1f\x7f]/.test(name)) {
    throw invalidArgument(
      `invalid network name ${JSON.stringify(name)}: only printable characters are allowed`,
    );
  }
  if (predefinedNames.includes(name) || name === "default") {
    throw permissionDenied(`operation is not permitted on predefined ${name} network `);
  }
  if (context.registry.reservedNetworks().some((network) => network.name === name)) {
    throw alreadyExists(`network with name ${name} already exists`);
  }
}

/**
 * A network made from a configuration takes everything but its name from there. Errors: permission_denied (swarm, or
 * more than a configuration allows), not_found (configuration).
 */
export function fromConfiguration(context: NetworkContext, request: NewNetwork): NewNetwork {
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

/** Errors: permission_denied (host, null, overlay), not_found (any other). A configuration has none. */
export function driverOf(request: NewNetwork): "bridge" | "macvlan" | "ipvlan" {
  if (request.configOnly) return "bridge";
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

/** Errors: invalid_argument, not_found (driver of addresses). */
export function checkAddressing(request: NewNetwork): void {
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

/** For no configuration: its options are read when a network is made from it. Errors: as checkBridgeOptions'. */
export function checkBridge({ options, internal }: NewNetwork): void {
  checkBridgeOptions(options);
  checkIsolation(options, internal);
}
