/**
 * The relay process, by its control socket: one JSON object a line, answered in order (native/README.md).
 * The relay outlives this service, so that what it carries goes on; a new one is started only when none
 * answers.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import net from "node:net";
import { hasErrno, internal } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { DescriptorKernel, ProcessKernel } from "@gantry/native";
import { parseAddress } from "../../domain/network/address.ts";
import { formatHostPort } from "../../domain/network/port-allocator.ts";
import type { PortRelay, RelayPort } from "../../ports/network-host.ts";
import { endOrphanRelays, relayTitle } from "./orphan-relay.ts";

/** What the client needs. */
export interface RelayOptions {
  /** Path of the relay program. */
  readonly program: string;
  /** Path of its control socket, at most 107 bytes. */
  readonly socketPath: string;
  readonly kernel: Pick<DescriptorKernel, "closeFd" | "listenUnix"> &
    Pick<ProcessKernel, "pidfdOpen" | "pidfdSendSignal" | "watchPidfd">;
  readonly logger: Logger;
}

/** A relay that closes its connection and does not end within this time is spoken to again. */
const endsWithinMs = 5000;

/** The version of the control protocol that we speak. */
const protocolVersion = 1;

interface Answer {
  readonly ok: boolean;
  readonly errno?: string;
  readonly message?: string;
  readonly version?: number;
  readonly pid?: number;
  readonly ports?: readonly RelayListEntry[] | number;
}

interface RelayListEntry {
  readonly id: string;
}

type Request = Readonly<Record<string, string | number>>;

export class RelayClient implements PortRelay {
  readonly #options: RelayOptions;
  #connection: RelayConnection | undefined;
  /** What the relay must hold: for a new one, when it was killed. */
  readonly #held = new Map<string, RelayPort>();
  /** Resolves when the relay of the last connection is no more: until then it has its sockets. */
  #formerEnded: Promise<void> = Promise.resolve();
  /** Operations are done in the order of the calls. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  listen(ports: readonly RelayPort[]): Promise<boolean> {
    return this.#inOrder(async () => {
      if (ports.length === 0) return true;
      const connection = await this.#connectOrStart();
      const answers = await connection.askAll(ports.map(addRequest));
      const refused = answers.find((answer) => !answer.ok);
      if (refused === undefined) {
        for (const port of ports) this.#held.set(portId(port), port);
        return true;
      }
      const bound = ports.filter((_, index) => answers[index]?.ok);
      await connection.askAll(bound.map(removeRequest));
      if (refused.errno === "EADDRINUSE") return false;
      throw refusal(ports[answers.indexOf(refused)], refused);
    });
  }

  close(ports: readonly RelayPort[]): Promise<void> {
    return this.#inOrder(async () => {
      if (ports.length === 0) return;
      for (const port of ports) this.#held.delete(portId(port));
      const connection = await this.#connect();
      // Without a relay nothing is held.
      await connection?.askAll(ports.map(removeRequest));
    });
  }

  restore(ports: readonly RelayPort[]): Promise<RelayPort[]> {
    return this.#inOrder(async () => {
      const connection = ports.length === 0 ? await this.#connect() : await this.#connectOrStart();
      if (connection === undefined) {
        await this.#endOrphans();
        return [];
      }
      const wanted = new Set(ports.map(portId));
      const [listing] = await connection.askAll([{ op: "list" }]);
      const held = Array.isArray(listing?.ports) ? (listing.ports as RelayListEntry[]) : [];
      const strays = held.filter(({ id }) => !wanted.has(id));
      await connection.askAll(strays.map(({ id }) => ({ op: "del", id })));
      const answers = await connection.askAll(ports.map(addRequest));
      const isHeld = (index: number): boolean => answers[index]?.ok === true;
      this.#held.clear();
      for (const [index, port] of ports.entries()) {
        if (isHeld(index)) this.#held.set(portId(port), port);
      }
      return ports.filter((_, index) => !isHeld(index));
    });
  }

  stop(): Promise<void> {
    return this.#inOrder(async () => {
      this.#held.clear();
      const connection = await this.#connect();
      if (connection === undefined) return;
      await connection.askAll([{ op: "shutdown" }]);
      await connection.ended();
      await this.#formerEnded;
      await rm(this.#options.socketPath, { force: true });
    });
  }

  /** Lets go of the relay without ending it. */
  disconnect(): void {
    this.#held.clear();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy();
  }

  /** Undefined when the relay has ended already. */
  #openProcess(pid: number | undefined): number | undefined {
    try {
      return pid === undefined ? undefined : this.#options.kernel.pidfdOpen(pid);
    } catch (error) {
      if (hasErrno(error, "ESRCH")) return undefined;
      throw error;
    }
  }

  /** A connection that we did not let go ends with its relay. */
  async #closed(connection: RelayConnection, pidfd: number | undefined): Promise<void> {
    if (pidfd !== undefined) {
      const ended = this.#connection === connection ? this.#processEnd(pidfd) : Promise.resolve();
      this.#formerEnded = ended.finally(() => {
        this.#options.kernel.closeFd(pidfd);
      });
    }
    await this.#replace();
  }

  async #processEnd(pidfd: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watch = this.#options.kernel.watchPidfd(pidfd, () => {
      resolve();
    });
    const late = setTimeout(() => {
      watch.close();
      resolve();
    }, endsWithinMs);
    await promise;
    clearTimeout(late);
  }

  /** With ports to hold, the relay was killed, and a new one takes its place. */
  async #replace(): Promise<void> {
    const ports = [...this.#held.values()];
    if (ports.length === 0) return;
    this.#options.logger.warn({ ports: ports.length }, "the relay is gone: starting another one");
    const lost = await this.restore(ports);
    if (lost.length > 0) this.#options.logger.error({ ports: lost }, "ports are held by others");
  }

  #inOrder<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #connectOrStart(): Promise<RelayConnection> {
    const found = await this.#connect();
    if (found !== undefined) return found;
    await this.#endOrphans();
    this.#start();
    const started = await this.#connect();
    if (started === undefined) throw internal("the relay cannot be started");
    return started;
  }

  /** Undefined when no relay answers. */
  async #connect(): Promise<RelayConnection | undefined> {
    if (this.#connection?.alive === true) return this.#connection;
    await this.#formerEnded;
    const connection = await openConnection(this.#options.socketPath);
    if (connection === undefined) return undefined;
    const [pong] = await connection.ping();
    // It took the connection with its last breath.
    if (pong === undefined) return undefined;
    if (pong.version !== protocolVersion) {
      // Of another version of the engine: it is replaced, and its ports are taken over.
      this.#options.logger.warn({ version: pong.version }, "replacing a relay of another version");
      await connection.askAll([{ op: "shutdown" }]);
      await connection.ended();
      return undefined;
    }
    this.#connection = connection;
    const pidfd = this.#openProcess(pong.pid);
    connection.closed
      .then(() => this.#closed(connection, pidfd))
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error }, "the relay cannot be replaced");
      });
    return connection;
  }

  async #endOrphans(): Promise<void> {
    const { kernel, socketPath, logger } = this.#options;
    const count = await endOrphanRelays(kernel, socketPath);
    if (count > 0) logger.warn({ count, socketPath }, "a relay without its socket was killed");
  }

  /** The socket is ours and listening before the program runs, so that there is nothing to wait for. */
  #start(): void {
    const { kernel, socketPath, program, logger } = this.#options;
    const listener = kernel.listenUnix(socketPath, 0o600, 16);
    try {
      const child = spawn(program, ["--listen-fd", "3"], {
        argv0: `${relayTitle} native/relay`,
        cwd: "/",
        detached: true,
        env: {},
        stdio: ["ignore", "ignore", "ignore", listener],
      });
      child.on("error", (error) => {
        logger.error({ err: error }, "relay could not be started");
      });
      child.unref();
      logger.info({ pid: child.pid }, "relay started");
    } finally {
      kernel.closeFd(listener);
    }
  }
}

function portId(port: RelayPort): string {
  return `${port.protocol}/${port.hostIp}/${port.hostPort}`;
}

function addRequest(port: RelayPort): Request {
  return {
    op: "add",
    id: portId(port),
    proto: port.protocol,
    hostIp: port.hostIp,
    hostPort: port.hostPort,
    containerIp: port.targetIp,
    containerPort: port.targetPort,
  };
}

function removeRequest(port: RelayPort): Request {
  return { op: "del", id: portId(port) };
}

/** Docker's words: it has a socket made before it binds it. */
function refusal(port: RelayPort | undefined, answer: Answer): Error {
  const reason = (answer.message ?? "refused").toLowerCase();
  if (port === undefined) return internal(`failed to bind host port ${reason}`);
  const { protocol } = port;
  const host = shownPort(port.hostIp, port.hostPort);
  if (answer.errno === "EAFNOSUPPORT") {
    const target = `${shownPort(port.targetIp, port.targetPort)}/${protocol}`;
    return internal(`failed to create socket for userland proxy for ${host}:${target}: ${reason}`);
  }
  return internal(`failed to bind host port ${host}/${protocol}: ${reason}`);
}

function shownPort(ip: string, port: number): string {
  const address = parseAddress(ip);
  return address === undefined ? `${ip}:${port}` : formatHostPort(address, port);
}

/** Connected, or undefined when nobody listens there. */
async function openConnection(socketPath: string): Promise<RelayConnection | undefined> {
  const socket = net.connect(socketPath);
  try {
    await once(socket, "connect");
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ECONNREFUSED")) return undefined;
    throw error;
  }
  return new RelayConnection(socket);
}

/** Requests and answers on one connection. It does not keep the service alive. */
class RelayConnection {
  readonly #socket: net.Socket;
  readonly #waiting: PromiseWithResolvers<Answer>[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #text = "";
  alive = true;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      this.#receive(chunk);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#end();
    });
  }

  /** All requests at once, their answers in order. Errors: internal when the relay goes away. */
  askAll(requests: readonly Request[]): Promise<Answer[]> {
    if (!this.alive) return Promise.reject(internal("the relay is gone"));
    const answers = requests.map(() => Promise.withResolvers<Answer>());
    this.#waiting.push(...answers);
    this.#socket.ref();
    this.#socket.write(requests.map((request) => `${JSON.stringify(request)}\n`).join(""));
    return Promise.all(answers.map(({ promise }) => promise)).finally(() => {
      if (this.#waiting.length === 0) this.#socket.unref();
    });
  }

  /** None when the relay ends before it answers. */
  async ping(): Promise<Answer[]> {
    try {
      return await this.askAll([{ op: "ping" }]);
    } catch (error) {
      if (this.alive) throw error;
      return [];
    }
  }

  /** Resolves when the relay has gone or was let go; does not keep the service alive. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  ended(): Promise<void> {
    this.#socket.ref();
    return this.#closed.promise;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(chunk: string): void {
    const lines = (this.#text + chunk).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) this.#waiting.shift()?.resolve(JSON.parse(line) as Answer);
  }

  #end(): void {
    this.alive = false;
    for (const { reject } of this.#waiting.splice(0)) reject(internal("the relay is gone"));
    this.#closed.resolve();
  }
}
