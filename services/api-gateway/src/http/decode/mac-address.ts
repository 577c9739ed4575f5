/** The MAC address of a container as a whole, which old clients give instead of an endpoint's. */
import { invalidArgument } from "@gantry/errors";
import { opened } from "../encode/version-gates.ts";
import type { EndpointInit } from "./endpoint.ts";
import { mainEndpoint, type NetworkWish, privateMode } from "./main-endpoint.ts";

/** What a create request says of MAC addresses. */
export interface MacWish extends NetworkWish {
  /** Config.MacAddress; always empty in versions that don't have it. */
  readonly container: string;
}

/** The same, with the address at the endpoint that it is meant for. */
export interface PlacedMac {
  /** What is kept of the container's address. */
  readonly container: string;
  readonly endpoints: Record<string, EndpointInit>;
  readonly warnings: readonly string[];
}

const warning =
  "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";

/** Errors: invalid_argument (an address that no endpoint can have, or that an endpoint contradicts). */
export function placeMac(wish: MacWish, version: number): PlacedMac {
  if (!opened("endpointMac", version)) return placeOldMac(wish, version);
  const { container, endpoints } = wish;
  if (container === "") return { container, endpoints: { ...endpoints }, warnings: [] };
  const mode = hasEndpoints(wish.networkMode);
  if (mode === undefined)
    return { container: "", endpoints: { ...endpoints }, warnings: [warning] };
  const name = mainEndpoint(mode, endpoints, version);
  if (name === undefined) {
    throw invalidArgument(
      "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
    );
  }
  const own = endpoints[name]?.macAddress ?? "";
  if (own !== "" && own !== container) {
    throw invalidArgument(
      "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
    );
  }
  return { container: "", endpoints: withMac(endpoints, name, container), warnings: [warning] };
}

/** Endpoints had no address of their own: those given are ignored, and the container's is the one endpoint's. */
function placeOldMac({ container, networkMode, endpoints }: MacWish, version: number): PlacedMac {
  const bare = Object.fromEntries(
    Object.entries(endpoints).map(([name, each]) => [name, { ...each, macAddress: "" }]),
  );
  if (container === "") return { container, endpoints: bare, warnings: [] };
  const mode = hasEndpoints(networkMode);
  if (mode === undefined) {
    throw invalidArgument("conflicting options: mac-address and the network mode");
  }
  const name = mainEndpoint(mode, bare, version) ?? mode;
  return { container, endpoints: withMac(bare, name, container), warnings: [] };
}

function withMac(
  endpoints: Readonly<Record<string, EndpointInit>>,
  name: string,
  macAddress: string,
): Record<string, EndpointInit> {
  return { ...endpoints, [name]: { ...endpoints[name], macAddress } };
}

/** The mode of a container with endpoints of its own. */
function hasEndpoints(networkMode: string): string | undefined {
  const mode = privateMode(networkMode);
  return mode === "none" ? undefined : mode;
}
