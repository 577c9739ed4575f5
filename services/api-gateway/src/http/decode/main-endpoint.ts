/** Which endpoint of a create request is the one of its network mode. */
import { opened } from "../encode/version-gates.ts";
import type { EndpointInit } from "./endpoint.ts";

/** What a create request says of networks. */
export interface NetworkWish {
  /** HostConfig.NetworkMode as it was given. */
  readonly networkMode: string;
  readonly endpoints: Readonly<Record<string, EndpointInit>>;
}

/** The mode under its own name; undefined where the host's or another container's network is shared. */
export function privateMode(networkMode: string): string | undefined {
  const mode = networkMode === "" || networkMode === "default" ? "bridge" : networkMode;
  return mode === "host" || /^container(?::|$)/.test(mode) ? undefined : mode;
}

/**
 * The name that the mode's endpoint is given under. Before there could be several, the one that is there is meant;
 * since then undefined when only others are.
 * @param mode of privateMode
 */
export function mainEndpoint(
  mode: string,
  endpoints: NetworkWish["endpoints"],
  version: number,
): string | undefined {
  const names = Object.keys(endpoints);
  if (!opened("manyEndpoints", version)) return names[0] ?? mode;
  if (names.length === 0 || names.includes(mode)) return mode;
  return mode === "bridge" && names.includes("default") ? "default" : undefined;
}
