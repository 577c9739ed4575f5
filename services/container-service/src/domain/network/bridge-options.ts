/** Options of the bridge driver, as Docker names them. */
import { internal, invalidArgument } from "@gantry/errors";
import { type Address, type Family, parseAddress } from "./address.ts";
import { parseFlag } from "./families.ts";
import { trustedInterfaces } from "./trusted-interfaces.ts";

/** Docker's option names. */
export const bridgeOptionNames = {
  defaultBridge: "com.docker.network.bridge.default_bridge",
  name: "com.docker.network.bridge.name",
  interContainer: "com.docker.network.bridge.enable_icc",
  masquerade: "com.docker.network.bridge.enable_ip_masquerade",
  inhibitIpv4: "com.docker.network.bridge.inhibit_ipv4",
  trusted: "com.docker.network.bridge.trusted_host_interfaces",
  hostBinding: "com.docker.network.bridge.host_binding_ipv4",
  hostIpv4: "com.docker.network.host_ipv4",
  hostIpv6: "com.docker.network.host_ipv6",
  mtu: "com.docker.network.driver.mtu",
  interfacePrefix: "com.docker.network.container_iface_prefix",
} as const;

/** The options that change something. */
export interface BridgeOptions {
  /** Name of the bridge, or undefined for one that is made up. */
  readonly name: string | undefined;
  readonly interContainer: boolean;
  readonly masquerade: boolean;
  /** The bridge gets no IPv4 address: somebody else is the gateway. */
  readonly inhibitIpv4: boolean;
  /** Host addresses that masquerading uses, one of a family at most; none: those of the way out. */
  readonly sources: readonly Address[];
  /** Interfaces of the host by which a route leads to published ports, too. */
  readonly trusted: readonly string[];
  /** Host address of published ports that name none, or undefined. */
  readonly hostBinding: string | undefined;
  /** Bytes, 0 = the kernel's choice. */
  readonly mtu: number;
  /** First letters of interface names in containers. */
  readonly interfacePrefix: string;
  readonly gatewayModes: Readonly<Record<Family, GatewayMode>>;
}

/**
 * How containers are reached from outside:
 * - `nat`: by published ports of the host
 * - `nat-unprotected`: and all ports by a route to them
 * - `routed`: published ports by a route to them, without ports of the host; nothing is masqueraded
 * - `isolated`: not at all, the host is out of reach, too
 */
export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

/**
 * Unknown options are kept in the record and change nothing, as with Docker. Errors: invalid_argument,
 * internal (what the kernel refuses).
 */
export function parseBridgeOptions(options: Readonly<Record<string, string>>): BridgeOptions {
  const names = bridgeOptionNames;
  return {
    name: linkName(options[names.name]),
    interContainer: flag(options, names.interContainer, true),
    masquerade: flag(options, names.masquerade, true),
    inhibitIpv4: flag(options, names.inhibitIpv4, false),
    sources: [names.hostIpv4, names.hostIpv6].flatMap((name) => sourceAddress(options, name)),
    trusted: trustedInterfaces(options[names.trusted] ?? ""),
    hostBinding: hostAddress(options[names.hostBinding]),
    mtu: mtu(options[names.mtu]),
    interfacePrefix: options[names.interfacePrefix] || "eth",
    gatewayModes: { 4: gatewayMode(options, "ipv4"), 6: gatewayMode(options, "ipv6") },
  };
}

/**
 * The options of a new network. As with Docker, an empty text is no host address and no gateway mode; records of
 * networks that are there may have one. Errors: as parseBridgeOptions'.
 */
export function checkBridgeOptions(options: Readonly<Record<string, string>>): void {
  parseBridgeOptions(options);
  const { hostBinding } = bridgeOptionNames;
  if (options[hostBinding] === "") throw unreadable(hostBinding, "", "nil ip");
  for (const name of families.map(gatewayModeName))
    if (options[name] === "") throw unreadable(name, "", "unknown gateway mode ");
}

function flag(options: Readonly<Record<string, string>>, name: string, fallback: boolean): boolean {
  const text = options[name];
  if (text === undefined) return fallback;
  const value = parseFlag(text);
  if (value !== undefined) return value;
  throw unreadable(
    name,
    text,
    `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
  );
}

function linkName(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  // Docker leaves names to the kernel: these are its refusals.
  if (Buffer.byteLength(text) > 15) throw internal("numerical result out of range");
  if (/[\s/:\0]/.test(text) || text === "." || text === "..") throw internal("invalid argument");
  return text;
}

function hostAddress(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (parseAddress(text) === undefined) {
    throw unreadable(bridgeOptionNames.hostBinding, text, "nil ip");
  }
  return text;
}

function sourceAddress(options: Readonly<Record<string, string>>, name: string): Address[] {
  const text = options[name];
  if (text === undefined) return [];
  const address = parseAddress(text);
  if (address === undefined) throw unreadable(name, text, "nil ip");
  return [address];
}

function mtu(text: string | undefined): number {
  if (text === undefined || text === "") return 0;
  const value = /^[+-]?\d+$/.test(text) ? BigInt(text.replace(/^\+/, "")) : undefined;
  if (value === undefined || BigInt.asIntN(64, value) !== value) {
    const why = value === undefined ? "invalid syntax" : "value out of range";
    const parsing = `strconv.Atoi: parsing ${JSON.stringify(text)}: ${why}`;
    throw unreadable(bridgeOptionNames.mtu, text, parsing);
  }
  if (value < 0n) throw invalidArgument(`invalid MTU number: ${text}`);
  // The kernel's limits of a bridge; 0 is its choice.
  if (value !== 0n && (value < 68n || value > 65_535n)) throw internal("invalid argument");
  return Number(value);
}

const families = ["ipv4", "ipv6"] as const;

function gatewayMode(
  options: Readonly<Record<string, string>>,
  family: (typeof families)[number],
): GatewayMode {
  const name = gatewayModeName(family);
  const mode = options[name] || "nat";
  switch (mode) {
    case "nat":
    case "nat-unprotected":
    case "routed":
    case "isolated":
      return mode;
    default:
      throw unreadable(name, mode, `unknown gateway mode ${mode}`);
  }
}

/** Errors: internal (`isolated`, which only internal networks can be). */
export function checkIsolation(
  options: Readonly<Record<string, string>>,
  isInternal: boolean,
): void {
  if (isInternal || !families.some((family) => isIsolated(options, family))) return;
  throw internal("gateway mode 'isolated' can only be used for an internal network");
}

/** Whether the bridge has no address of a family: not even the host is reached. */
export function isIsolated(
  options: Readonly<Record<string, string>>,
  family: "ipv4" | "ipv6",
): boolean {
  return options[gatewayModeName(family)] === "isolated";
}

function gatewayModeName(family: "ipv4" | "ipv6"): string {
  return `com.docker.network.bridge.gateway_mode_${family}`;
}

function unreadable(name: string, text: string, why: string): Error {
  return invalidArgument(`failed to parse ${name} value: ${text} (${why})`);
}
