/** Runs the relay for its tests, with what it forwards to. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "@gantry/testkit";

/** The folder with the sources and builds. */
export const native = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
/** The builds to test, by folder name: the real one, and the sanitized one where it was made. */
export const builds = ["build", "build-asan"].filter((name) =>
  existsSync(path.join(native, name, "relay")),
);
assert.ok(builds.length > 0, "build the relay program first: make -C native all asan");

/** A line of the control socket. */
export type Answer = Record<string, unknown>;

/** A client of the control socket: one JSON object a line, answered in order. */
export class Control {
  readonly socket: Socket;
  readonly #answers: ((answer: Answer) => void)[] = [];

  constructor(socketPath: string) {
    this.socket = connect(socketPath);
    this.socket.on("error", () => undefined);
    let rest = "";
    this.socket.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#answers.shift()?.(JSON.parse(line) as Answer);
    });
  }

  ask(request: unknown): Promise<Answer> {
    this.socket.write(`${typeof request === "string" ? request : JSON.stringify(request)}\n`);
    return new Promise((resolve) => this.#answers.push(resolve));
  }
}

/** A relay that runs until its test ends. */
export interface Relay {
  child: ChildProcess;
  socketPath: string;
  control: Control;
}

/** Starts the relay of a build, and connects to its control socket. */
export async function startRelay(t: TestContext, build: string): Promise<Relay> {
  const directory = mkdtempSync(path.join(tmpdir(), "gantry-relay-"));
  const socketPath = path.join(directory, "relay.sock");
  const child = spawn(path.join(native, build, "relay"), ["--socket", socketPath], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(directory, { recursive: true });
  });
  await eventually(() => existsSync(socketPath));
  const control = new Control(socketPath);
  t.after(() => control.socket.destroy());
  return { child, socketPath, control };
}

/** A TCP server in the place of a container. */
export async function container(
  t: TestContext,
  onConnection: (socket: Socket) => void,
  host = "127.0.0.2",
): Promise<AddressInfo> {
  const server: Server = createServer({ allowHalfOpen: true }, onConnection);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server.address() as AddressInfo;
}

/** A port of the address that nothing listens on. */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Has the relay forward a free port to `target`. Resolves with the port. */
export async function publish(
  relay: Relay,
  target: { address: string; port: number },
  host = "127.0.0.1",
  proto = "tcp",
): Promise<number> {
  const hostPort = await freePort(host);
  const request = {
    op: "add",
    id: `${proto}-${hostPort}`,
    proto,
    hostIp: host,
    hostPort,
    containerIp: target.address,
    containerPort: target.port,
  };
  assert.deepEqual(await relay.control.ask(request), {
    op: "add",
    id: request.id,
    ok: true,
    hostPort,
  });
  return hostPort;
}

/** All that comes until the other side ends its stream; unlike an iterator, it leaves the socket open. */
export function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    socket.on("end", () => resolve(Buffer.concat(chunks)));
    socket.on("error", reject);
  });
}

/** The end of a socket, in whatever way. */
export function closed(socket: Socket): Promise<void> {
  socket.on("error", () => undefined);
  return new Promise((resolve) => socket.on("close", () => resolve()));
}

/** The next datagram, and who sent it. */
export function udpAnswer(socket: UdpSocket): Promise<[Buffer, { address: string; port: number }]> {
  return once(socket, "message") as unknown as Promise<[Buffer, { address: string; port: number }]>;
}
