/** Docker's notation of ports: `80/tcp`, `8000-8010`, and what a container wants published. */
import { invalidArgument } from "@gantry/errors";
import { type Address, parseAddress } from "./address.ts";
import type { Protocol } from "./ruleset.ts";

/** A container's port. */
export interface ContainerPort {
  readonly port: number;
  readonly protocol: Protocol;
}

/** Ports from which one is to be had; equal ends: that very port. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** One host side that a container wants. */
export interface WantedPort {
  readonly container: ContainerPort;
  /** Absent: the daemon's default address. */
  readonly hostAddress?: Address | undefined;
  /** Absent: an ephemeral port. */
  readonly hostPorts?: PortRange | undefined;
}

/** The host sides of one container port, as the API gives them. */
export interface BindingsRequest {
  readonly port: string;
  readonly bindings: readonly { readonly hostIp: string; readonly hostPort: string }[];
}

const protocols: readonly string[] = ["tcp", "udp", "sctp"];

function isProtocol(text: string): text is Protocol {
  return protocols.includes(text);
}

function parsePortNumber(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

/** `80` or `8000-8010`; undefined when malformed. */
function parsePortRange(text: string): PortRange | undefined {
  const dash = text.indexOf("-");
  const first = parsePortNumber(dash < 0 ? text : text.slice(0, dash));
  const last = dash < 0 ? first : parsePortNumber(text.slice(dash + 1));
  if (first === undefined || last === undefined || last < first) return undefined;
  return { first, last };
}

/** `80/tcp`, `80` (tcp). Errors: invalid_argument. */
export function parseContainerPort(text: string): ContainerPort {
  const [number = "", protocol = "tcp", ...rest] = text.split("/");
  const port = parsePortNumber(number);
  const lower = protocol.toLowerCase();
  if (port === undefined || port === 0 || rest.length > 0) {
    throw invalidArgument(`invalid port specification: "${text}"`);
  }
  if (!isProtocol(lower))
    throw invalidArgument(`invalid protocol: "${protocol}" in port "${text}"`);
  return { port, protocol: lower };
}

/**
 * An exposed port, as dockerd reads it: what is no number, a range too, is port 0, which nobody can listen on.
 * Errors: invalid_argument (no port at all, an unknown protocol).
 */
export function parseExposedPort(text: string): ContainerPort {
  const [number = "", protocol = ""] = text.split("/");
  const lower = protocol === "" ? "tcp" : protocol.toLowerCase();
  if (number === "" || !isProtocol(lower)) {
    throw invalidArgument(`invalid port specification: "${text}"`);
  }
  return { port: parsePortNumber(number) ?? 0, protocol: lower };
}

export function formatContainerPort(port: ContainerPort): string {
  return `${port.port}/${port.protocol}`;
}

/**
 * Everything that a container wants published: the bindings of exposed ports, and with `publishAll` the exposed
 * ports without, but for port 0. Bindings of other ports have no effect, as with Docker. An empty list of bindings counts as one
 * ephemeral port. Errors: invalid_argument, also for bindings without effect.
 */
export function wantedPorts(
  requests: readonly BindingsRequest[],
  exposed: readonly string[],
  publishAll: boolean,
): WantedPort[] {
  const byKey = new Map(
    exposed.map(parseExposedPort).map((port) => [formatContainerPort(port), port]),
  );
  const wanted = requests
    .flatMap(wantedOf)
    .filter(({ container }) => byKey.has(formatContainerPort(container)));
  if (!publishAll) return wanted;
  const bound = new Set(wanted.map(({ container }) => formatContainerPort(container)));
  const unbound = [...byKey].filter(([key, { port }]) => port !== 0 && !bound.has(key));
  return [...wanted, ...unbound.map(([, container]) => ({ container }))];
}

function wantedOf(request: BindingsRequest): WantedPort[] {
  const container = parseContainerPort(request.port);
  if (request.bindings.length === 0) return [{ container }];
  return request.bindings.map(({ hostIp, hostPort }) => ({
    container,
    hostAddress: parseHostIp(hostIp),
    hostPorts: parseHostPort(hostPort),
  }));
}

function parseHostIp(text: string): Address | undefined {
  if (text === "") return undefined;
  const address = parseAddress(text.replace(/^\[(.*)\]$/, "$1"));
  if (address === undefined) throw invalidArgument(`invalid IP address: ${JSON.stringify(text)}`);
  return address;
}

function parseHostPort(text: string): PortRange | undefined {
  if (text === "" || text === "0") return undefined;
  const range = parsePortRange(text);
  if (range === undefined || range.first === 0) {
    throw invalidArgument(`invalid port specification: ${JSON.stringify(text)}`);
  }
  return range;
}
