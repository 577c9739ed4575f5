/** Sysctls of an interface among those of the container, where clients had them before endpoints took them. */
import { internal, invalidArgument } from "@gantry/errors";
import { opened } from "../encode/version-gates.ts";
import type { EndpointInit } from "./endpoint.ts";
import { mainEndpoint, type NetworkWish, privateMode } from "./main-endpoint.ts";

/** What a create request says of sysctls. */
export interface SysctlWish extends NetworkWish {
  /** HostConfig.Sysctls. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** The same, with those of `eth0` at the endpoint that they are meant for. */
export interface PlacedSysctls {
  readonly sysctls: Readonly<Record<string, string>>;
  readonly endpoints: Readonly<Record<string, EndpointInit>>;
  readonly warnings: readonly string[];
}

const option = "com.docker.network.endpoint.sysctls";
const ofInterface = /^(net\.[^.]+\.[^.]+)\.(eth[^.]*)\.(.+)$/;

/**
 * Errors: internal (a version in which endpoints take them, or an interface that may be any endpoint's),
 * invalid_argument (no endpoint is the network mode's).
 */
export function placeInterfaceSysctls(wish: SysctlWish, version: number): PlacedSysctls {
  const { sysctls, endpoints } = wish;
  const mode = privateMode(wish.networkMode);
  const own = Object.keys(sysctls).filter((name) => ofInterface.test(name));
  const [first] = own;
  if (mode === undefined || first === undefined) return { sysctls, endpoints, warnings: [] };
  if (opened("interfaceSysctls", version)) {
    throw internal(
      `interface specific sysctl setting ${JSON.stringify(first)} must be supplied using driver option '${option}'`,
    );
  }
  const endpoint = mainEndpoint(mode, endpoints, version);
  if (endpoint === undefined) {
    throw invalidArgument(
      `unable to find a network for sysctl ${first}: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks`,
    );
  }
  const moved = own.map((name) => asOption(name, sysctls[name] ?? "")).join(",");
  const kept = Object.entries(sysctls).filter(([name]) => !own.includes(name));
  return {
    sysctls: Object.fromEntries(kept),
    endpoints: { ...endpoints, [endpoint]: withOption(endpoints[endpoint] ?? {}, moved) },
    warnings: [
      `Migrated sysctl ${JSON.stringify(own.join(","))} to DriverOpts{${JSON.stringify(option)}:${JSON.stringify(moved)}}.`,
    ],
  };
}

/** Only of `eth0` it is known which endpoint it is. */
function asOption(name: string, value: string): string {
  const [, before = "", link, after = ""] = ofInterface.exec(name) ?? [];
  if (link === "eth0") return `${before}.IFNAME.${after}=${value}`;
  throw internal(
    `unable to determine network endpoint for sysctl ${name}, use driver option '${option}' to set per-interface sysctls`,
  );
}

/** What the endpoint has of its own comes last, and so wins. */
function withOption(endpoint: EndpointInit, moved: string): EndpointInit {
  const own = endpoint.driverOpts?.[option];
  const text = own === undefined ? moved : `${moved},${own}`;
  return { ...endpoint, driverOpts: { ...endpoint.driverOpts, [option]: text } };
}
