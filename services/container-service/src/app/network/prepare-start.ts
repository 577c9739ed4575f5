/** Everything that a container's networks need before its process is launched. */
import { internal } from "@gantry/errors";
import { textDigest } from "../../domain/network/container-files.ts";
import type { NameTable } from "../../domain/network/name-table.ts";
import { normalizeMode, parseMode } from "../../domain/network/network-modes.ts";
import type { ContainerNetworks } from "../../domain/network/records.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { NetworkFiles } from "../../ports/network-host.ts";
import type { NetworkedContainer, PreparedNetwork } from "../../ports/networking.ts";
import { hostModeFiles, hostnameOf, type OwnTexts, ownTexts } from "./container-texts.ts";
import { inBackground, type NetworkContext } from "./context.ts";
import {
  chooseGateways,
  type GatewayChoice,
  type PlacedEndpoint,
  placeEndpoints,
  planInterfaces,
  resolveEndpoints,
} from "./endpoint-plan.ts";
import { refreshNeighbours } from "./neighbours.ts";
import { publishContainer, shownPorts } from "./publish-container.ts";
import { releaseNetworks } from "./release-networks.ts";

/** After an error nothing is held. */
export async function prepareStart(
  context: NetworkContext,
  container: NetworkedContainer,
  signal: AbortSignal,
): Promise<PreparedNetwork> {
  const declared = context.registry.container(container.id);
  if (declared === undefined)
    throw internal(`networks of container ${container.id} are not declared`);
  // A start that was cut short by a crash may have left something.
  releaseNetworks(context, container.id);
  const mode = parseMode(normalizeMode(container.hostConfig.networkMode));
  if (mode.kind === "container") return joinOther(context, mode.reference);
  const placed = placeEndpoints(
    context,
    resolveEndpoints(context, declared.endpoints, declared.mode),
    new Set(),
  );
  let networks: ContainerNetworks = {
    ...declared,
    endpoints: placed.map(({ endpoint }) => endpoint),
    started: true,
    pid: 0,
  };
  context.registry.putContainer(networks);
  try {
    const gateways = chooseGateways(placed);
    const published = await publishContainer(context, container, placed, gateways);
    networks = { ...networks, published, exposed: shownPorts(container) };
    const texts: OwnTexts =
      mode.kind === "host"
        ? { files: await hostModeFiles(context, container), names: undefined }
        : await ownTexts(context, container, networks);
    const resolvConfDigest = textDigest(texts.files.resolvConf);
    const change = context.registry.putContainer({ ...networks, resolvConfDigest });
    await context.files.write(container.id, texts.files);
    signal.throwIfAborted();
    inBackground(context, "keep endpoints", context.store.commit([change], []));
    const names =
      texts.names === undefined ? undefined : context.names.prepare(container.id, texts.names);
    // Before it runs: whoever it greets can look it up.
    refreshNeighbours(context, networks);
    return prepared(context, container, mode.kind === "host" ? "host" : "new", {
      placed,
      gateways,
      files: texts.files,
      names,
    });
  } catch (error) {
    releaseNetworks(context, container.id);
    throw error;
  }
}

function prepared(
  context: NetworkContext,
  container: NetworkedContainer,
  mode: "new" | "host",
  ready: {
    readonly placed: readonly PlacedEndpoint[];
    readonly gateways: GatewayChoice;
    readonly files: NetworkFiles;
    readonly names: NameTable | undefined;
  },
): PreparedNetwork {
  const { placed, gateways, files, names } = ready;
  const paths = context.files.paths(container.id);
  return {
    namespace: { mode },
    interfaces: planInterfaces(placed, gateways),
    resolvConfPath: paths.resolvConf,
    hostsPath: paths.hosts,
    hostnamePath: paths.hostname,
    hostname: mode === "host" ? files.hostname.trim() : "",
    ...(names === undefined ? {} : { names }),
    events: placed.map((each) => connectEvent(container.id, each)),
  };
}

/** Event of an endpoint that came to be. */
export function connectEvent(containerId: string, { network }: PlacedEndpoint): NewEvent {
  return {
    type: "network",
    action: "connect",
    actorId: network.id,
    attributes: { container: containerId, name: network.name, type: network.driver },
  };
}

function joinOther(context: NetworkContext, reference: string): PreparedNetwork {
  const other = context.directory.find(reference);
  const paths = context.files.paths(other.id);
  return {
    namespace: { mode: "join", containerId: other.id },
    interfaces: [],
    resolvConfPath: paths.resolvConf,
    hostsPath: paths.hosts,
    hostnamePath: paths.hostname,
    hostname: hostnameOf(other),
    events: [],
  };
}
