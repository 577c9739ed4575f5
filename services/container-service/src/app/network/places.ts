/** A container's places in networks, those that there are and those that only have a name. */
import { EngineError, internal, invalidArgument } from "@gantry/errors";
import type {
  ContainerNetworks,
  EndpointRecord,
  NetworkRecord,
} from "../../domain/network/records.ts";
import type { FoundContainer } from "../../ports/networking.ts";
import type { NetworkContext } from "./context.ts";

export function checkReference(containerRef: string): void {
  if (containerRef === "") throw invalidArgument('invalid name or ID supplied: ""');
}

export function networksOf(context: NetworkContext, container: FoundContainer): ContainerNetworks {
  const networks = context.registry.container(container.id);
  if (networks === undefined)
    throw internal(`networks of container ${container.id} are not declared`);
  return networks;
}

/** Undefined: no network is meant, or several are. One that does not run can have and leave the name all the same. */
export function findMade(
  { registry }: NetworkContext,
  networkRef: string,
): NetworkRecord | undefined {
  if (networkRef === "") return registry.find(networkRef);
  try {
    return registry.find(networkRef);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return undefined;
  }
}

/** Whether it is a place in a network of which there is but the name. */
export function isCalled({ live, networkRef }: EndpointRecord, name: string): boolean {
  return live === undefined && networkRef === name;
}

export function isIn(endpoint: EndpointRecord, network: NetworkRecord): boolean {
  return endpoint.networkId === network.id || isCalled(endpoint, network.name);
}
