/** Requests over node:http and node:https: one try, no redirects, no credentials of its own. */
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import http from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";
import type { Readable } from "node:stream";
import type { SecureContext } from "node:tls";
import { EngineError } from "@gantry/errors";
import { drained } from "@gantry/rpc";
import { connectionError } from "./go-errors.ts";
import { createFixedLookup, createReach } from "./reach.ts";

/** TLS towards one host. */
export interface TlsChoice {
  /** Undefined: the machine's authorities. */
  readonly context: SecureContext | undefined;
  /** False: any certificate will do. */
  readonly verify: boolean;
  /** The host is spoken to at these only, since it is they that allow what is not verified. Absent: where its name leads. */
  readonly addresses?: readonly LookupAddress[] | undefined;
}

/** One request. */
export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | AsyncIterable<Uint8Array> | undefined;
  readonly tls: TlsChoice;
  /** What errors call the URL. Absent: all but its query. */
  readonly called?: string | undefined;
  /** Host of the registry that sent us there by its answer. Absent: the user or the configuration did. */
  readonly sentBy?: string | undefined;
  readonly signal: AbortSignal;
}

/** The head of an answer; the body is to be read or dropped. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<http.IncomingHttpHeaders>;
  readonly body: Readable;
  readonly url: URL;
}

/** The client. */
export interface HttpClient {
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): void;
}

/** How long a server may keep silent. */
export interface HttpLimits {
  /** No byte for so long ends a request, before the head and in the body. */
  readonly idleMs: number;
  /** A connection must be made within this time. */
  readonly connectMs: number;
}

const usualLimits: HttpLimits = { idleMs: 60_000, connectMs: 15_000 };

/** @param proxyEnv HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case */
export function createHttpClient(
  proxyEnv: Readonly<Record<string, string>>,
  limits: HttpLimits = usualLimits,
): HttpClient {
  const agentOptions = {
    keepAlive: true,
    keepAliveMsecs: 15_000,
    maxSockets: 16,
    timeout: limits.idleMs,
  };
  const plain = new http.Agent({ ...agentOptions, proxyEnv });
  const secure = new Map<SecureContext | undefined, Map<boolean, https.Agent>>();
  const secureAgent = ({ context, verify }: TlsChoice): https.Agent => {
    const byVerify = secure.get(context) ?? new Map<boolean, https.Agent>();
    secure.set(context, byVerify);
    const known = byVerify.get(verify);
    if (known !== undefined) return known;
    const agent = new https.Agent({
      ...agentOptions,
      proxyEnv,
      rejectUnauthorized: verify,
      ...(context !== undefined && { secureContext: context }),
    });
    byVerify.set(verify, agent);
    return agent;
  };
  return {
    async send(request) {
      if (request.url.port === "0") throw await refusedAtPortZero(request);
      const agent = request.url.protocol === "https:" ? secureAgent(request.tls) : plain;
      const { addresses } = request.tls;
      if (addresses !== undefined) {
        return send(request, agent, limits, createFixedLookup(request.url.hostname, addresses));
      }
      if (request.sentBy === undefined) return send(request, agent, limits);
      const reach = createReach(request.url.hostname, request.sentBy);
      await reach.checkLiteral();
      return send(request, agent, limits, reach.lookup);
    },
    close() {
      plain.destroy();
      for (const agents of secure.values()) for (const agent of agents.values()) agent.destroy();
    },
  };
}

/** Nobody listens there, and Node would take the scheme's own port for it. */
async function refusedAtPortZero({ method, url, called }: HttpRequest): Promise<EngineError> {
  const refusal = await lookup(url.hostname.replace(/^\[|\]$/g, "")).then(
    ({ address }) => Object.assign(new Error(), { code: "ECONNREFUSED", address, port: 0 }),
    (error: unknown) => error,
  );
  return connectionError(method, url, refusal, called);
}

function send(
  request: HttpRequest,
  agent: http.Agent,
  limits: HttpLimits,
  ownLookup?: LookupFunction,
): Promise<HttpResponse> {
  const { method, url, called, headers, body, signal } = request;
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      reject(connectionError(method, url, error, called));
    };
    const open = url.protocol === "https:" ? https.request : http.request;
    const outgoing = open(url, {
      method,
      headers: { "user-agent": userAgent, ...headers },
      agent,
      signal,
      timeout: limits.idleMs,
      ...(ownLookup !== undefined && { lookup: ownLookup }),
    });
    // A request that has no socket yet (a proxy keeps silent) says nothing when it is destroyed.
    const giveUp = (error: Error): void => {
      fail(error);
      outgoing.destroy(error);
    };
    const connectTimer = setTimeout(() => {
      giveUp(Object.assign(new Error("connect timed out"), { code: "ETIMEDOUT" }));
    }, limits.connectMs);
    const aborted = (): void => {
      giveUp(new DOMException("This operation was aborted", "AbortError"));
    };
    signal.addEventListener("abort", aborted, { once: true });
    const connected = (): void => {
      clearTimeout(connectTimer);
      signal.removeEventListener("abort", aborted);
    };
    outgoing.once("socket", (socket) => {
      if (socket.connecting) socket.once("connect", connected);
      else connected();
    });
    outgoing.once("timeout", () => {
      outgoing.destroy(
        new Error("net/http: request canceled (Client.Timeout exceeded while awaiting headers)"),
      );
    });
    outgoing.once("close", connected);
    outgoing.on("error", fail);
    outgoing.once("response", (incoming) => {
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: incoming, url });
    });
    write(outgoing, body).catch((error: unknown) => {
      // A reader's failure is the caller's to see as it is.
      if (error instanceof EngineError) reject(error);
      outgoing.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
}

const userAgent = "docker/29.0.0 gantry (linux)";

async function write(
  outgoing: http.ClientRequest,
  body: Buffer | AsyncIterable<Uint8Array> | undefined,
): Promise<void> {
  if (body === undefined || Buffer.isBuffer(body)) {
    outgoing.end(body);
    return;
  }
  for await (const chunk of body) {
    if (outgoing.destroyed) return;
    if (!outgoing.write(chunk)) await drained(outgoing);
  }
  outgoing.end();
}

/** Reads at most so many bytes of a body; a longer one is cut there and its connection dropped. */
export async function readBody(
  response: HttpResponse,
  limitBytes: number,
): Promise<{ readonly bytes: Buffer; readonly whole: boolean }> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limitBytes) {
        chunks.push(chunk.subarray(0, chunk.length - (size - limitBytes)));
        return { bytes: Buffer.concat(chunks), whole: false };
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw connectionError("GET", response.url, error);
  }
  return { bytes: Buffer.concat(chunks), whole: true };
}

/** Lets a body go. A short one is read, so that the connection can be used again. */
export function dropBody(response: HttpResponse): void {
  const length = Number(response.headers["content-length"] ?? Number.NaN);
  if (length <= 64 * 1024) response.body.resume();
  else response.body.destroy();
  response.body.on("error", () => undefined);
}
