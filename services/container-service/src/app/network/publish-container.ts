/** Which of a container's ports are published, and by which of its endpoints. */
import { EngineError, toEngineError } from "@gantry/errors";
import type { Family } from "../../domain/network/address.ts";
import { parseBridgeOptions } from "../../domain/network/bridge-options.ts";
import {
  formatContainerPort,
  parseExposedPort,
  type WantedPort,
  wantedPorts,
} from "../../domain/network/port-spec.ts";
import type { PublishedPort } from "../../domain/network/records.ts";
import type { NetworkedContainer } from "../../ports/networking.ts";
import type { NetworkContext } from "./context.ts";
import type { GatewayChoice, PlacedEndpoint } from "./endpoint-plan.ts";
import { publishPorts } from "./publish-ports.ts";

/** Ports that inspect shows: exposed ones, of containers with a network that can publish them. */
export function shownPorts(
  container: NetworkedContainer,
  placed: readonly PlacedEndpoint[],
): string[] {
  if (!placed.some(({ network }) => network.driver === "bridge" && !network.internal)) return [];
  const exposed = container.config.exposedPorts.map(parseExposedPort);
  return [...new Set(exposed.map(formatContainerPort))];
}

const families: readonly Family[] = [4, 6];

/**
 * Publishes what the container wants, by the endpoints that have its default routes. Nothing is published
 * without a bridge network that has a way out. Errors: internal with Docker's texts.
 */
export async function publishContainer(
  context: NetworkContext,
  container: NetworkedContainer,
  placed: readonly PlacedEndpoint[],
  gateways: GatewayChoice,
): Promise<readonly PublishedPort[]> {
  const wanted = wantedOf(container);
  const outlet = placed.find(
    (each) =>
      each.network.driver === "bridge" && (each === gateways.ipv4 || each === gateways.ipv6),
  );
  // Ports belong to bridge networks with a way out; elsewhere they are discarded.
  if (wanted.length === 0 || outlet === undefined) return [];
  try {
    return await publishPorts(context, wanted, {
      live: {
        ipv4: gateways.ipv4?.network.driver === "bridge" ? gateways.ipv4.endpoint.live.ipv4 : "",
        ipv6: gateways.ipv6?.network.driver === "bridge" ? gateways.ipv6.endpoint.live.ipv6 : "",
      },
      routed: families.filter((family) => isRouted(gateways[`ipv${family}`], family)),
      trusting: families.filter((family) => isTrusting(gateways[`ipv${family}`], family)),
      defaultHostAddress:
        parseBridgeOptions(outlet.network.options).hostBinding ??
        context.options.defaultHostAddress,
    });
  } catch (error) {
    throw externalConnectivityError(container, outlet, error);
  }
}

function isRouted(gateway: PlacedEndpoint | undefined, family: Family): boolean {
  if (gateway?.network.driver !== "bridge") return false;
  return parseBridgeOptions(gateway.network.options).gatewayModes[family] === "routed";
}

function isTrusting(gateway: PlacedEndpoint | undefined, family: Family): boolean {
  if (gateway?.network.driver !== "bridge") return false;
  const { trusted, gatewayModes } = parseBridgeOptions(gateway.network.options);
  return trusted.length > 0 && gatewayModes[family] === "nat";
}

function wantedOf(container: NetworkedContainer): WantedPort[] {
  const { portBindings, publishAllPorts } = container.hostConfig;
  return wantedPorts(portBindings, container.config.exposedPorts, publishAllPorts);
}

function externalConnectivityError(
  container: NetworkedContainer,
  outlet: PlacedEndpoint,
  error: unknown,
): EngineError {
  const cause = toEngineError(error);
  const where = `${container.name} (${outlet.endpoint.live.endpointId})`;
  return new EngineError(
    cause.kind,
    `driver failed programming external connectivity on endpoint ${where}: ${cause.message}`,
    { cause },
  );
}
