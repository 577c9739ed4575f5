/** Which of a container's ports are published, and by which of its endpoints. */
import { EngineError, toEngineError } from "@gantry/errors";
import { parseBridgeOptions } from "../../domain/network/bridge-options.ts";
import { type WantedPort, wantedPorts } from "../../domain/network/port-spec.ts";
import type { PublishedPort } from "../../domain/network/records.ts";
import type { NetworkedContainer } from "../../ports/networking.ts";
import type { NetworkContext } from "./context.ts";
import type { GatewayChoice, PlacedEndpoint } from "./endpoint-plan.ts";
import { publishPorts } from "./publish-ports.ts";

/** Ports that inspect shows: exposed and bound ones. */
export function shownPorts(container: NetworkedContainer): string[] {
  const { portBindings } = container.hostConfig;
  const bound = wantedPorts(portBindings, [], false).map(({ container: port }) => port);
  const exposed = wantedPorts([], container.config.exposedPorts, true).map(
    ({ container: port }) => port,
  );
  return [...new Set([...exposed, ...bound].map((port) => `${port.port}/${port.protocol}`))];
}

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
      defaultHostAddress:
        parseBridgeOptions(outlet.network.options).hostBinding ??
        context.options.defaultHostAddress,
    });
  } catch (error) {
    throw externalConnectivityError(container, outlet, error);
  }
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
