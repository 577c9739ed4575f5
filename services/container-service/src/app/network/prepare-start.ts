/** Everything that a container's networks need before its process is launched. */
import { EngineError, hasKind, internal, isEngineError } from "@gantry/errors";
import { textDigest } from "../../domain/network/container-files.ts";
import type { NameTable } from "../../domain/network/name-table.ts";
import { normalizeMode, parseMode } from "../../domain/network/network-modes.ts";
import type { ContainerNetworks } from "../../domain/network/records.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { NetworkFiles } from "../../ports/network-host.ts";
import type { NetworkedContainer, PreparedNetwork } from "../../ports/networking.ts";
import { hostModeTexts, hostnameOf, ownTexts } from "./container-texts.ts";
import { inBackground, type NetworkContext } from "./context.ts";
import {
  checkSysctls,
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
  if (mode.kind === "container") return joinOther(context, container.id, mode.reference);
  return await prepareOwn(context, container, declared, mode.kind, signal);
}

/** Docker's words around what goes wrong with endpoints and ports. */
async function setUp<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw new EngineError(error.kind, `failed to set up container networking: ${error.message}`, {
      cause: error,
    });
  }
}

async function prepareOwn(
  context: NetworkContext,
  container: NetworkedContainer,
  declared: ContainerNetworks,
  kind: "host" | "none" | "network",
  signal: AbortSignal,
): Promise<PreparedNetwork> {
  let networks = declared;
  const placed = await setUp(() => {
    const resolved = resolveEndpoints(context, declared);
    const holder = { name: declared.name, usedNames: new Set<string>() };
    const held = placeEndpoints(context, resolved, holder);
    const endpoints = held.map(({ endpoint }) => endpoint);
    networks = { ...declared, endpoints, started: true, pid: 0 };
    // In the same tick: from now on nobody removes the networks.
    context.registry.putContainer(networks);
    return held;
  });
  try {
    await setUp(() => checkSysctls(context, placed));
    const gateways = chooseGateways(placed);
    const published = await setUp(() => publishContainer(context, container, placed, gateways));
    networks = { ...networks, published, exposed: shownPorts(container, placed) };
    const texts = await (kind === "host"
      ? hostModeTexts(context, container)
      : ownTexts(context, container, networks));
    networks = {
      ...networks,
      resolvConfDigest: textDigest(texts.files.resolvConf),
      ...(texts.hostsLines && { hostsLines: texts.hostsLines }),
    };
    const change = context.registry.putContainer(networks);
    await context.hostsEdits.take(container.id, () =>
      context.files.write(container.id, texts.files),
    );
    signal.throwIfAborted();
    inBackground(context, "keep endpoints", context.store.commit([change], []));
    const names =
      texts.names === undefined ? undefined : context.names.prepare(container.id, texts.names);
    // Before it runs: whoever it greets can look it up.
    refreshNeighbours(context, networks);
    // Not outside: its errors release the addresses, too.
    return await setUp(() =>
      prepared(context, container, kind === "host" ? "host" : "new", {
        placed,
        gateways,
        files: texts.files,
        names,
      }),
    );
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
    interfaces: planInterfaces(context, placed, gateways),
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

function findJoined(context: NetworkContext, reference: string): NetworkedContainer {
  try {
    return context.directory.find(reference);
  } catch (error) {
    if (!hasKind(error, "not_found")) throw error;
    const message = `joining network namespace of container: No such container: ${reference}`;
    throw internal(message, { cause: error });
  }
}

function joinOther(context: NetworkContext, id: string, reference: string): PreparedNetwork {
  const other = findJoined(context, reference);
  if (other.id === id) throw internal("cannot join own network namespace");
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
