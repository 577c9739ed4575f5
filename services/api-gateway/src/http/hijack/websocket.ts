/** Websocket ends of a container's streams. Loaded at first use: few clients speak it. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { Deframer } from "./deframer.ts";

/** Longest message from a client. */
const maxPayload = 1024 * 1024;

const server = new WebSocketServer({ noServer: true, maxPayload, clientTracking: false });

/** The container's side. */
export interface WebSocketJoin {
  /** Undefined where the run has ended. */
  readonly stream: Socket | undefined;
  /** Sent before the stream. */
  readonly logs: Socket | undefined;
  /** The streams come in Docker's frames, which websocket clients don't get. */
  readonly framed: boolean;
  readonly stdin: boolean;
}

/** Shakes hands and joins until either side is gone. */
export function joinWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  { stream, logs, framed, stdin }: WebSocketJoin,
): Promise<void> {
  return new Promise((resolve) => {
    socket.once("close", () => {
      stream?.destroy();
      logs?.destroy();
      resolve();
    });
    server.handleUpgrade(request, socket, Buffer.alloc(0), (ws) => {
      ws.on("error", () => undefined);
      if (stream !== undefined) receive(ws, stream, stdin);
      void sendAll(ws, [logs, stream], framed).then(
        () => {
          ws.close(1000);
        },
        () => {
          ws.terminate();
        },
      );
    });
  });
}

/** Messages become input, as fast as the container takes it. */
function receive(ws: WebSocket, stream: Socket, stdin: boolean): void {
  ws.on("message", (data: Buffer) => {
    if (stdin && !stream.write(data)) {
      ws.pause();
      stream.once("drain", () => {
        ws.resume();
      });
    }
  });
  ws.once("close", () => {
    stream.destroy();
  });
}

async function sendAll(
  ws: WebSocket,
  sources: readonly (Readable | undefined)[],
  framed: boolean,
): Promise<void> {
  for (const source of sources) if (source !== undefined) await send(ws, source, framed);
}

/** Output becomes binary messages, as fast as the client takes them. */
async function send(ws: WebSocket, source: Readable, framed: boolean): Promise<void> {
  const deframer = framed ? new Deframer() : undefined;
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    const bytes = chunk as Buffer;
    for (const payload of deframer?.push(bytes) ?? [bytes]) await sendOne(ws, payload);
  }
}

function sendOne(ws: WebSocket, payload: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    ws.send(payload, { binary: true }, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
