/** NATS as the outbox needs it: connect once, publish in order, say when it broke. */

import { type JetStreamClient, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers as makeHeaders, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";

/** JetStream stream that keeps the engine's messages for late readers. It is a copy, never the store. */
export const streamName = "GANTRY_EVENTS";

/** What the stream takes in. */
export const streamSubjects = ["gantry.events.>", "gantry.process.>"];

const nanosPerSecond = 1_000_000_000;
const streamLimits = {
  max_bytes: 64 * 1024 * 1024,
  max_age: 7 * 24 * 3600 * nanosPerSecond,
  /** A message sent again within this time is dropped by its ID. */
  duplicate_window: 120 * nanosPerSecond,
};

/** A message for NATS. */
export interface NatsMessage {
  readonly subject: string;
  readonly payload: string;
  /** `Nats-Msg-Id`: the stream drops what it has already. */
  readonly msgId: string;
}

/** An open connection. */
export interface NatsPublisher extends AsyncDisposable {
  /** Resolves when NATS has all messages; rejects when that is not sure. */
  publish(messages: readonly NatsMessage[]): Promise<void>;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<unknown>;
  /** False where the server has no JetStream: then messages reach only who listens now. */
  readonly durable: boolean;
}

/** Opens a connection and makes the stream when it is not there. Rejects when NATS does not answer. */
export async function connectNats(url: string, clientName: string): Promise<NatsPublisher> {
  const connection = await connect({
    ...serverOptions(url),
    name: clientName,
    reconnect: false,
    timeout: 2000,
    // A stack trace for each message, for an error that we tell of by ourselves.
    noAsyncTraces: true,
  });
  try {
    const stream = await openStream(connection);
    return {
      durable: stream !== undefined,
      publish: (messages) =>
        stream === undefined ? publishCore(connection, messages) : publishAll(stream, messages),
      closed: connection.closed(),
      [Symbol.asyncDispose]: () => connection.close(),
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Splits credentials out of the URL: the client library wants them apart. */
function serverOptions(text: string) {
  const url = new URL(text);
  const user = decodeURIComponent(url.username);
  const pass = decodeURIComponent(url.password);
  url.username = "";
  url.password = "";
  const scheme = url.protocol === "tls:" ? { tls: {} } : {};
  const servers = { servers: url.host, ...scheme };
  if (user === "") return servers;
  return pass === "" ? { ...servers, token: user } : { ...servers, user, pass };
}

/** The stream's client; undefined where the server has no JetStream. */
async function openStream(connection: NatsConnection): Promise<JetStreamClient | undefined> {
  if (connection.info?.jetstream !== true) return undefined;
  const manager = await jetstreamManager(connection, { timeout: 2000 });
  const config = { name: streamName, subjects: streamSubjects, ...streamLimits };
  try {
    await manager.streams.add(config);
  } catch (error) {
    // It exists with other limits, by somebody's choice: use it as it is.
    const info = await manager.streams.info(streamName).catch(() => undefined);
    if (info === undefined) throw error;
  }
  return jetstream(connection, { timeout: 2000 });
}

async function publishAll(
  stream: JetStreamClient,
  messages: readonly NatsMessage[],
): Promise<void> {
  // Sent in order on one connection; the acknowledgements are awaited together.
  await Promise.all(
    messages.map(({ subject, payload, msgId }) =>
      stream.publish(subject, payload, { msgID: msgId, timeout: 5000 }),
    ),
  );
}

async function publishCore(
  connection: NatsConnection,
  messages: readonly NatsMessage[],
): Promise<void> {
  for (const { subject, payload, msgId } of messages) {
    const headers = makeHeaders();
    headers.set("Nats-Msg-Id", msgId);
    connection.publish(subject, payload, { headers });
  }
  await connection.flush();
}
