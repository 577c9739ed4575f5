/** Containers → the answer of GET /containers/json. */
import type { Container, ContainerState, PortBindings } from "@gantry/proto/container";
import { encodeMountPoint } from "./container-inspect.ts";
import { encodeDescriptor } from "./descriptor.ts";
import { encodeEndpoints } from "./endpoint.ts";
import { type JsonOut, sorted, toJson } from "./json.ts";
import { humanDuration, unixSeconds } from "./time.ts";
import { opened } from "./version-gates.ts";

/** Encodes one row. @param nowMs the wall clock, for the texts that tell ages. */
export function encodeContainerSummary(
  container: Container,
  version: number,
  nowMs: number,
): JsonOut {
  return {
    ...beforeStatus(container, version),
    Status: statusOf(container, nowMs),
    ...afterStatus(container, version),
  };
}

/** A row as text, but for what time changes. */
export interface ContainerRow {
  /** For those who count the users of images. */
  readonly imageId: string;
  /** The row's JSON. @param nowMs the wall clock */
  json(nowMs: number): string;
}

/** Encodes one row as far as it stays the same. */
export function containerRow(container: Container, version: number): ContainerRow {
  const before = toJson(beforeStatus(container, version)).slice(0, -1);
  const after = toJson(afterStatus(container, version)).slice(1);
  const { state, imageId } = container;
  return {
    imageId,
    json: (nowMs) => `${before},"Status":${toJson(statusOf({ state }, nowMs))},${after}`,
  };
}

function statusOf({ state }: Pick<Container, "state">, nowMs: number): string {
  return state ? statusText(state, nowMs) : "";
}

function beforeStatus(container: Container, version: number): Record<string, JsonOut> {
  const { state } = container;
  return {
    Id: container.id,
    Names: [`/${container.name}`, ...container.linkNames],
    Image: container.imageDisplay,
    ImageID: container.imageId,
    ImageManifestDescriptor:
      opened("manifestDescriptor", version) && container.imageManifestDescriptor
        ? encodeDescriptor(container.imageManifestDescriptor)
        : undefined,
    Command: commandLine(container),
    Created: unixSeconds(container.createdNano),
    Ports: encodePorts(container.networkSettings?.ports ?? []),
    SizeRw: omitZero(container.sizeRwBytes),
    SizeRootFs: omitZero(container.sizeRootfsBytes),
    Labels: sorted(container.config?.labels ?? {}),
    State: state?.status ?? "",
  };
}

function afterStatus(container: Container, version: number): Record<string, JsonOut> {
  const { state, hostConfig } = container;
  return {
    Health: opened("listHealth", version) ? encodeHealthSummary(state) : undefined,
    HostConfig: {
      NetworkMode: hostConfig?.networkMode ?? "",
      Annotations:
        opened("listAnnotations", version) && Object.keys(hostConfig?.annotations ?? {}).length > 0
          ? sorted(hostConfig?.annotations ?? {})
          : undefined,
    },
    NetworkSettings: {
      Networks: encodeEndpoints(container.networkSettings?.networks ?? {}, version),
    },
    Mounts: container.mounts.map(encodeMountPoint),
  };
}

const omitZero = (value: bigint | undefined): bigint | undefined =>
  value === undefined || value === 0n ? undefined : value;

/** Path and arguments; arguments with white space are quoted. */
function commandLine({ path, args }: Container): string {
  const quoted = args.map((arg) => (arg.includes(" ") ? `'${arg}'` : arg));
  return [path, ...quoted].join(" ");
}

function encodeHealthSummary(state: ContainerState | undefined): JsonOut {
  return {
    Status: state?.health?.status ?? "none",
    FailingStreak: state?.health?.failingStreak ?? 0,
  };
}

function encodePorts(ports: readonly PortBindings[]): JsonOut {
  return ports.flatMap(({ port, bindings }): JsonOut[] => {
    const [number = "0", protocol = "tcp"] = port.split("/");
    const PrivatePort = Number(number);
    if (bindings.length === 0) return [{ PrivatePort, Type: protocol }];
    return bindings.map((each) => ({
      IP: each.hostIp === "" ? undefined : each.hostIp,
      PrivatePort,
      PublicPort: each.hostPort === "" ? undefined : Number(each.hostPort),
      Type: protocol,
    }));
  });
}

/** The words of the STATUS column. */
export function statusText(state: ContainerState, nowMs: number): string {
  const since = (nano: bigint): string => humanDuration(nowMs - Number(nano / 1_000_000n));
  switch (state.status) {
    case "paused":
      return `Up ${since(state.startedAtNano)} (Paused)`;
    case "restarting":
      return `Restarting (${String(state.exitCode)}) ${since(state.finishedAtNano)} ago`;
    case "running":
      return `Up ${since(state.startedAtNano)}${healthText(state)}`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    case "created":
      return "Created";
    default:
      return state.finishedAtNano === 0n
        ? ""
        : `Exited (${String(state.exitCode)}) ${since(state.finishedAtNano)} ago`;
  }
}

function healthText({ health }: ContainerState): string {
  if (health === undefined || health.status === "none" || health.status === "") return "";
  return health.status === "starting" ? " (health: starting)" : ` (${health.status})`;
}
