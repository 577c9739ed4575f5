/** Which networks a container can be in together. Texts are Docker's. */
import { invalidArgument } from "@gantry/errors";
import type { NetworkMode } from "./network-modes.ts";
import type { NetworkRecord } from "./records.ts";

/** Why nothing can be connected to a namespace that is the host's or another container's. */
export const sharedNamespace =
  "container sharing network namespace with another container or host cannot be connected to any other network";
const toHost =
  "cannot connect container to host network - container must be created in host network mode";
const withNone =
  "container cannot be connected to multiple networks with one of the networks in private (none) mode";

type Placed = Pick<NetworkRecord, "driver">;

/** One more network, besides others. Errors: invalid_argument. */
export function checkNewcomer(mode: NetworkMode, others: readonly Placed[], network: Placed): void {
  if (network.driver === "host" && mode.kind !== "host") throw invalidArgument(toHost);
  if (others.length === 0) return;
  const drivers = [network, ...others].map(({ driver }) => driver);
  if (drivers.includes("host")) throw invalidArgument(sharedNamespace);
  if (drivers.includes("null")) throw invalidArgument(withNone);
}

/** All networks of a container that starts: with the host's namespace it is in no other. Errors: invalid_argument. */
export function checkCompany(mode: NetworkMode, networks: readonly Placed[]): void {
  for (const [index, network] of networks.entries()) {
    checkNewcomer(mode, networks.slice(0, index), network);
    if (mode.kind === "host" && network.driver !== "host") throw invalidArgument(sharedNamespace);
  }
}
