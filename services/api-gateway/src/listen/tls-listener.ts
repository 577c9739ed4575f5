/** TCP listeners: only with mutual TLS, since whoever may use the API is root on this machine. */
import { readFile } from "node:fs/promises";
import type net from "node:net";
import tls from "node:tls";
import type { TlsSettings } from "@gantry/config";
import { invalidArgument } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { ConnectionBudget } from "./connection-budget.ts";
import { type ProtocolTakers, switchProtocol } from "./protocol-switch.ts";
import { type Listener, listen } from "./unix-listener.ts";

/** Options of listenTcp. */
export interface TcpListenerOptions {
  /** `tcp://address:port`. */
  readonly host: string;
  readonly tls: TlsSettings | undefined;
  readonly logger: Logger;
  readonly takers: ProtocolTakers;
  readonly budget: ConnectionBudget;
}

/** A client that has not shown its certificate by then is cut. */
const handshakeTimeoutMs = 10_000;

/** Docker's port with TLS. */
const defaultPort = 2376;

/** Listens. Throws invalid_argument where the certificates of both sides are not configured. */
export async function listenTcp(options: TcpListenerOptions): Promise<Listener> {
  const { host, takers, budget, logger } = options;
  const server = tls.createServer(
    {
      ...(await readCertificates(host, options.tls)),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      handshakeTimeout: handshakeTimeoutMs,
      allowHalfOpen: true,
      noDelay: true,
      // Finds clients that are gone without a word while nothing is sent to them.
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      // HTTP/2 with TLS is announced by ALPN; the preface that follows is the same.
      ALPNProtocols: ["h2", "http/1.1"],
    },
    (socket) => {
      switchProtocol(socket, takers);
    },
  );
  server.on("connection", (socket: net.Socket) => {
    budget.admit(socket);
  });
  server.on("tlsClientError", (error, socket) => {
    logger.debug({ err: error, peer: socket.remoteAddress }, "TLS handshake failed");
  });
  await listen(server, parseHost(host));
  const address = server.address() as net.AddressInfo;
  return {
    address: `${address.address}:${String(address.port)}`,
    close: () => {
      server.close();
      return Promise.resolve();
    },
  };
}

function parseHost(host: string): net.ListenOptions {
  const url = new URL(host);
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return {
    port: url.port === "" ? defaultPort : Number(url.port),
    ...(name !== "" && { host: name }),
  };
}

async function readCertificates(host: string, settings: TlsSettings | undefined) {
  const { caCertFile, certFile, keyFile } = settings ?? {};
  if (
    settings?.verifyClients !== true ||
    caCertFile === undefined ||
    certFile === undefined ||
    keyFile === undefined
  ) {
    throw invalidArgument(
      `${host}: TCP needs mutual TLS: set tlsverify, tlscacert, tlscert and tlskey`,
    );
  }
  const [ca, cert, key] = await Promise.all([
    readFile(caCertFile),
    readFile(certFile),
    readFile(keyFile),
  ]);
  return { ca, cert, key };
}
