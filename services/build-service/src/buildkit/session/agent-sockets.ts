/** Unix sockets in this machine that lead to clients' SSH agents. */

import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { hasKind } from "@gantry/errors";
import { BytesMessageSchema, SSH } from "@gantry/proto/buildkit";
import { drained } from "@gantry/rpc";
import { type LentAgent, noAgents } from "../../ports/build-inputs.ts";
import { methodPathOf } from "../wire/client-connection.ts";
import type { Session } from "./session.ts";

/** Of one socket, whose other side is whatever a build runs. More are cut at once. */
const maxConnections = 64;

/** Opens sockets and removes them. */
export class AgentSockets {
  readonly #folder: string;

  /** @param folder where the sockets are made. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * A socket that leads to an agent until the signal aborts.
   * @returns its path, or the client's reason why it has none
   */
  async open(session: Session | undefined, id: string, until: AbortSignal): Promise<LentAgent> {
    if (session?.serves(methodPathOf(SSH.method.forwardAgent)) !== true) return noAgents(id);
    try {
      await session.connection.unary(SSH.method.checkAgent, { id }, { signal: until });
    } catch (error) {
      // Whatever the client answers, it has no such agent; no answer is another matter.
      if (hasKind(error, "unavailable") || hasKind(error, "canceled")) throw error;
      if (hasKind(error, "not_implemented") || !(error instanceof Error)) return noAgents(id);
      return { missing: error.message };
    }
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const socketPath = path.join(this.#folder, `${randomBytes(8).toString("hex")}.sock`);
    const connections = new Set<net.Socket>();
    const server = net.createServer({ allowHalfOpen: true }, (connection) => {
      connections.add(connection);
      connection.once("close", () => connections.delete(connection));
      forward(session, id, connection).catch(() => {
        connection.destroy();
      });
    });
    server.maxConnections = maxConnections;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(socketPath, resolve);
    });
    const close = (): void => {
      // Takes the socket's file along.
      server.close();
      for (const each of connections) each.destroy();
    };
    if (until.aborted) close();
    else until.addEventListener("abort", close, { once: true });
    return { socket: socketPath };
  }
}

/** Joins a connection with a stream to the agent. */
async function forward(session: Session, id: string, connection: net.Socket): Promise<void> {
  const call = session.connection.open(methodPathOf(SSH.method.forwardAgent), {
    metadata: { "buildkit.ssh.id": id === "" ? "default" : id },
  });
  connection.on("error", () => {
    call.cancel();
  });
  connection.on("data", (data: Buffer) => {
    const message = create(BytesMessageSchema, { data: new Uint8Array(data) });
    const pending = call.write(toBinary(BytesMessageSchema, message));
    if (pending === undefined) return;
    connection.pause();
    void pending.then(() => connection.resume());
  });
  connection.once("end", () => {
    call.end();
  });
  connection.once("close", () => {
    call.end();
  });
  await call.receive((message) => {
    const { data } = fromBinary(BytesMessageSchema, message);
    return connection.write(data) || connection.destroyed ? undefined : drained(connection);
  });
  connection.end();
}
