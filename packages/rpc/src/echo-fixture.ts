/** A running echo service for tests of this package. */
import path from "node:path";
import { type TestContext } from "node:test";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import {
  type EchoClient,
  type EchoHandlers,
  echoClient,
  implementEcho,
  type Text,
} from "./echo-service.ts";
import { type Channel, type GrpcServer, openChannel, serveGrpc } from "./index.ts";
/** What a test has. */
export interface EchoFixture {
  readonly server: GrpcServer;
  readonly channel: Channel;
  readonly echo: EchoClient;
  readonly socketPath: string;
}

/** Serves the echo service at a socket of its own, until the test ends. */
export async function start(
  t: TestContext,
  handlers: EchoHandlers = {},
  { ttrpc = false } = {},
): Promise<EchoFixture> {
  const dir = await openTempDir("gantry-rpc-");
  const socketPath = path.join(dir.path, "echo-service.sock");
  const services = [implementEcho(handlers)];
  const server = await serveGrpc({
    socketPath,
    services,
    logger: silentLogger(),
  });
  const channel = openChannel(socketPath, { ttrpc });
  await channel.ready(20_000);
  t.after(async () => {
    channel.close();
    await server.close(0);
    await dir.close();
  });
  return { server, channel, echo: echoClient(channel), socketPath };
}

/** A stream of these. */
export async function* texts(...values: string[]): AsyncGenerator<Text> {
  for (const value of values) yield await Promise.resolve({ value });
}

/** A stream's values, once it has ended. */
export async function collect(stream: AsyncIterable<Text>): Promise<string[]> {
  const all: string[] = [];
  for await (const { value } of stream) all.push(value);
  return all;
}

/** A promise that stays open until the signal aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
}
