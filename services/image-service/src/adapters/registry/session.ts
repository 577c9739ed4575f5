/** One repository's conversation with its registry: endpoint, credentials, redirects, retries. */
import { setTimeout as pause } from "node:timers/promises";
import { EngineError, invalidArgument, permissionDenied, unauthenticated } from "@gantry/errors";
import { type Challenge, parseChallenges } from "../../domain/www-authenticate.ts";
import type { Credential } from "../../ports/registry.ts";
import { type Endpoint, type Endpoints, urlAt } from "./endpoints.ts";
import { connectionError, goVerb, isTlsFailure, shown } from "./go-errors.ts";
import { dropBody, type HttpClient, type HttpResponse, readBody } from "./http-client.ts";
import { isForbiddenTarget, isLoopback } from "./network-rules.ts";
import { maxErrorBytes, RegistryError, registryError } from "./registry-error.ts";
import { basicAuthorization, fetchToken } from "./token.ts";

/** A request below an endpoint. */
export interface SessionRequest {
  readonly method: string;
  /** `/v2/…`, or a whole URL for uploads. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | (() => AsyncIterable<Uint8Array>);
  /** Statuses that are answers. Others are errors. */
  readonly accept: readonly number[];
  /** Tries in all; requests that change something are tried once. Default 5. */
  readonly tries?: number;
  /** Whether errors show the query too, which is the user's own. Default false: signed URLs have secrets there. */
  readonly showsQuery?: boolean;
  readonly signal: AbortSignal;
}

export interface SessionOptions {
  readonly client: HttpClient;
  readonly endpoints: Pick<Endpoints, "of" | "isPlain">;
  readonly domain: string;
  /** `repository:library/busybox:pull`. */
  readonly scope: string;
  readonly mirrors: boolean;
  readonly credential: Credential | undefined;
  /** First pause before another try; doubles. */
  readonly backoffMs?: number;
}

const maxRedirects = 8;
const maxRetryAfterMs = 60_000;
/** A request tries so many tokens of other requests at most before it asks for its own. */
const maxBorrowed = 2;
const redirects = new Set([301, 302, 303, 307, 308]);
const retried = new Set([408, 429, 500, 502, 503, 504]);

export class RegistrySession {
  readonly #options: SessionOptions;
  #candidates: Endpoint[] = [];
  #found: Promise<void> | undefined;
  #authorization: string | undefined;
  /** An endpoint has answered: no other is tried any more. */
  #settled = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const token = options.credential?.registryToken;
    if (token) this.#authorization = `Bearer ${token}`;
  }

  /** The endpoint in use, once a request has been sent. */
  get base(): URL {
    return new URL(this.#endpoint.base);
  }

  get #endpoint(): Endpoint {
    const [first] = this.#candidates;
    if (first === undefined) throw new EngineError("internal", "no endpoint for the registry");
    return first;
  }

  /** Sends until an accepted answer comes. Throws RegistryError for another, and internal for none. */
  async send(request: SessionRequest): Promise<HttpResponse> {
    await (this.#found ??= this.#find());
    for (;;) {
      const endpoint = this.#endpoint;
      try {
        const response = await this.#sendTo(endpoint, request);
        this.#settled = true;
        return response;
      } catch (error) {
        if (!this.#nextEndpoint(endpoint, error, request.signal)) {
          throw this.#settled ? error : unreachable(endpoint, request, error);
        }
      }
    }
  }

  async #find(): Promise<void> {
    const { endpoints, domain, mirrors } = this.#options;
    this.#candidates = [...(await endpoints.of(domain, mirrors))];
  }

  /** Whether another endpoint is to be tried after a failure. */
  #nextEndpoint(endpoint: Endpoint, error: unknown, signal: AbortSignal): boolean {
    // Another request of this session has moved on meanwhile.
    if (endpoint !== this.#endpoint && !signal.aborted) return true;
    if (this.#settled || signal.aborted || this.#candidates.length < 2) return false;
    const fallThrough = endpoint.mirror || (endpoint.plainFallback && isUnreachable(error));
    if (!fallThrough) return false;
    // Somebody is there and speaks no TLS. One that is not there at all may speak it next time.
    if (endpoint.plainFallback && isTlsFailure(error))
      this.#options.endpoints.isPlain(this.#options.domain);
    this.#candidates = this.#candidates.slice(1);
    this.#authorization = undefined;
    return true;
  }

  async #sendTo(endpoint: Endpoint, request: SessionRequest): Promise<HttpResponse> {
    const tries = request.tries ?? 5;
    let waitMs = this.#options.backoffMs ?? 200;
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= tries;
      try {
        const response = await this.#authenticated(endpoint, request);
        if (request.accept.includes(response.status)) return response;
        const after = retryAfterMs(response);
        const error = await errorOf(response);
        if (last || !retried.has(response.status)) throw error;
        await pause(after ?? waitMs, undefined, { signal: request.signal });
      } catch (error) {
        // Without a first answer a retry only delays what the user must learn.
        if (last || !this.#settled || !isBroken(error)) throw error;
        await pause(waitMs, undefined, { signal: request.signal });
      }
      waitMs *= 2;
    }
  }

  async #authenticated(endpoint: Endpoint, request: SessionRequest): Promise<HttpResponse> {
    const url = this.#urlOf(endpoint, request.target);
    for (let borrowed = 0; ; borrowed++) {
      const used = this.#authorization;
      const response = await this.#following(endpoint, request, url);
      if (response.status !== 401) return response;
      const challenges = parseChallenges(headerText(response, "www-authenticate"));
      // Requests run side by side: another one may have been challenged meanwhile, and answered. Its token may be
      // for less than this request needs, which then has a challenge of its own to answer.
      const borrows = this.#authorization !== used && borrowed < maxBorrowed;
      const authorization = borrows
        ? this.#authorization
        : await this.#answer(endpoint, challenges, url, request.signal);
      if (authorization === undefined || authorization === used) {
        if (used !== undefined || !challenges.some(({ scheme }) => scheme === "basic"))
          return response;
        dropBody(response);
        throw unauthenticated(
          `${goVerb(request.method)} "${shown(url)}": no basic auth credentials`,
        );
      }
      dropBody(response);
      this.#authorization = authorization;
      if (!borrows) return this.#following(endpoint, request, url);
    }
  }

  /** A whole URL is where the registry wants an upload: no better than a redirect. */
  #urlOf(endpoint: Endpoint, target: string): URL {
    if (target.startsWith("/")) return urlAt(endpoint, target);
    const base = new URL(endpoint.base);
    return redirectTarget(base, target, base);
  }

  /** An answer to a challenge, or undefined when there is none (any more). */
  async #answer(
    endpoint: Endpoint,
    challenges: readonly Challenge[],
    url: URL,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const credential = endpoint.mirror ? undefined : this.#options.credential;
    if (credential?.registryToken) return undefined;
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer !== undefined) {
      const scope = this.#options.scope;
      const asked = { challenge: bearer, registry: url, scope, tls: endpoint.tls, offline: false };
      const hasSecret =
        credential !== undefined && (credential.username !== "" || credential.identityToken !== "");
      const { token } = await fetchToken(this.#options.client, {
        ...asked,
        credential: hasSecret ? credential : undefined,
        signal,
      });
      return `Bearer ${token}`;
    }
    const basic = challenges.some(({ scheme }) => scheme === "basic");
    if (!basic || credential === undefined || credential.username === "") return undefined;
    return basicAuthorization(credential);
  }

  /** Follows redirects of reading requests; credentials stay with the registry's own origin. */
  async #following(endpoint: Endpoint, request: SessionRequest, first: URL): Promise<HttpResponse> {
    let url = first;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const ours = url.origin === new URL(endpoint.base).origin;
      const response = await this.#options.client.send({
        method: request.method,
        url,
        called: request.showsQuery === true && url === first ? url.href : undefined,
        headers: {
          ...request.headers,
          ...(ours && this.#authorization !== undefined && { authorization: this.#authorization }),
        },
        body: typeof request.body === "function" ? request.body() : request.body,
        tls: ours ? endpoint.tls : { context: undefined, verify: true },
        sentBy: ours ? undefined : new URL(endpoint.base).hostname,
        signal: request.signal,
      });
      const location = response.headers.location;
      const reading = request.method === "GET" || request.method === "HEAD";
      if (!reading || !redirects.has(response.status) || location === undefined) return response;
      dropBody(response);
      url = redirectTarget(url, location, first);
    }
    // Another kind than that of a broken connection: the next try would go round the same ring.
    throw invalidArgument(`stopped after ${maxRedirects} redirects`);
  }
}

function redirectTarget(from: URL, location: string, first: URL): URL {
  if (!URL.canParse(location, from)) throw permissionDenied("the registry redirects to no URL");
  const target = new URL(location, from);
  const sneaky = isLoopback(target.hostname) && !isLoopback(first.hostname);
  const downgrade = from.protocol === "https:" && target.protocol !== "https:";
  const scheme = target.protocol === "http:" || target.protocol === "https:";
  if (!scheme || sneaky || downgrade || isForbiddenTarget(target.hostname)) {
    throw permissionDenied(
      `refusing a redirect of ${from.host} to ${target.protocol}//${target.host}`,
    );
  }
  return target;
}

/** Who cannot be reached at all is named without the request, as Docker's first ping would. */
function unreachable(endpoint: Endpoint, { target }: SessionRequest, error: unknown): unknown {
  if (!target.startsWith("/v2/")) return error;
  if (!isUnreachable(error) || !URL.canParse(endpoint.base)) return error;
  const ping = `${endpoint.base}/v2/`;
  return connectionError("GET", new URL(ping), error.cause, ping);
}

/** A connection that broke, rather than an answer. */
function isBroken(error: unknown): boolean {
  return (
    error instanceof EngineError && !(error instanceof RegistryError) && error.kind === "internal"
  );
}

/** No answer at all: the cause is the connection's. */
function isUnreachable(error: unknown): error is EngineError & { readonly cause: unknown } {
  return isBroken(error) && error instanceof EngineError && error.cause !== undefined;
}

async function errorOf(response: HttpResponse): Promise<RegistryError> {
  const { bytes } = await readBody(response, maxErrorBytes);
  return registryError(response, bytes);
}

/** Retry-After in seconds or as a date; bounded, so that a registry cannot hold us for a day. */
function retryAfterMs(response: HttpResponse): number | undefined {
  const text = headerText(response, "retry-after");
  if (text === "") return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), maxRetryAfterMs);
}

export function headerText(response: HttpResponse, name: string): string {
  const value = response.headers[name];
  return Array.isArray(value) ? value.join(", ") : (value ?? "");
}
