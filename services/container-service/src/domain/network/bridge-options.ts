/** Options of the bridge driver, as Docker names them. */
import { invalidArgument } from "@gantry/errors";
import { parseAddress } from "./address.ts";

/** Docker's option names. */
export const bridgeOptionNames = {
  defaultBridge: "com.docker.network.bridge.default_bridge",
  name: "com.docker.network.bridge.name",
  interContainer: "com.docker.network.bridge.enable_icc",
  masquerade: "com.docker.network.bridge.enable_ip_masquerade",
  hostBinding: "com.docker.network.bridge.host_binding_ipv4",
  mtu: "com.docker.network.driver.mtu",
  interfacePrefix: "com.docker.network.container_iface_prefix",
} as const;

/** The options that change something. */
export interface BridgeOptions {
  /** Name of the bridge, or undefined for one that is made up. */
  readonly name: string | undefined;
  readonly interContainer: boolean;
  readonly masquerade: boolean;
  /** Host address of published ports that name none, or undefined. */
  readonly hostBinding: string | undefined;
  /** Bytes, 0 = the kernel's choice. */
  readonly mtu: number;
  /** First letters of interface names in containers. */
  readonly interfacePrefix: string;
}

/** Unknown options are kept in the record and change nothing, as with Docker. Errors: invalid_argument. */
export function parseBridgeOptions(options: Readonly<Record<string, string>>): BridgeOptions {
  const names = bridgeOptionNames;
  checkGatewayModes(options);
  return {
    name: linkName(options[names.name]),
    interContainer: flag(options, names.interContainer, true),
    masquerade: flag(options, names.masquerade, true),
    hostBinding: hostAddress(options[names.hostBinding]),
    mtu: mtu(options[names.mtu]),
    interfacePrefix: options[names.interfacePrefix] || "eth",
  };
}

function flag(options: Readonly<Record<string, string>>, name: string, fallback: boolean): boolean {
  const text = options[name];
  if (text === undefined) return fallback;
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw unreadable(
    name,
    text,
    `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
  );
}

function linkName(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^[^\s/:\0]{1,15}$/.test(text) || text === "." || text === "..") {
    throw invalidArgument(`invalid bridge name: ${JSON.stringify(text)}`);
  }
  return text;
}

function hostAddress(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (parseAddress(text) === undefined) {
    throw unreadable(bridgeOptionNames.hostBinding, text, "nil ip");
  }
  return text;
}

function mtu(text: string | undefined): number {
  if (text === undefined || text === "") return 0;
  if (!/^[+-]?\d{1,9}$/.test(text)) {
    const why = `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
    throw unreadable(bridgeOptionNames.mtu, text, why);
  }
  const value = Number(text);
  if (value < 0 || value > 65_535) throw invalidArgument(`invalid MTU number: ${text}`);
  return value;
}

const gatewayModes: readonly string[] = ["", "nat", "nat-unprotected", "routed", "isolated"];

function checkGatewayModes(options: Readonly<Record<string, string>>): void {
  for (const family of ["ipv4", "ipv6"]) {
    const name = `com.docker.network.bridge.gateway_mode_${family}`;
    const mode = options[name] ?? "";
    if (!gatewayModes.includes(mode)) {
      throw unreadable(name, mode, `unknown gateway mode ${mode}`);
    }
  }
}

function unreadable(name: string, text: string, why: string): Error {
  return invalidArgument(`failed to parse ${name} value: ${text} (${why})`);
}
