/** The Registries port. */
import { EngineError, internal, invalidArgument, unauthenticated } from "@gantry/errors";
import { list, object, parseDocument, string } from "@gantry/oci";
import { plainText } from "../../domain/foreign-text.ts";
import { parseChallenges } from "../../domain/www-authenticate.ts";
import type { Credential, FoundRepository, Registries } from "../../ports/registry.ts";
import { createEndpoints, type Endpoints, type RegistrySettings, urlAt } from "./endpoints.ts";
import { connectionError, shownAsWritten } from "./go-errors.ts";
import { createHttpClient, dropBody, type HttpClient, readBody } from "./http-client.ts";
import { isForbiddenTarget } from "./network-rules.ts";
import { registryError } from "./registry-error.ts";
import { RemoteRepository } from "./repository.ts";
import { pingForSearch } from "./search-ping.ts";
import { headerText, RegistrySession } from "./session.ts";
import { basicAuthorization, fetchToken } from "./token.ts";

const maxSearchBytes = 4 * 1024 * 1024;

export interface RegistriesOptions extends RegistrySettings {
  readonly proxyEnv: Readonly<Record<string, string>>;
}

export function createRegistries(options: RegistriesOptions): Registries & { close(): void } {
  const client = createHttpClient(options.proxyEnv);
  const endpoints = createEndpoints(options);
  const insecureOnes: Endpoints = { ...endpoints, of: endpoints.insecure };
  const session = (
    from: Endpoints,
    domain: string,
    scope: string,
    mirrors: boolean,
    credential: Credential | undefined,
  ): RegistrySession =>
    new RegistrySession({ client, endpoints: from, domain, scope, mirrors, credential });

  return {
    repository({ domain, path }, actions, credential, { insecure } = { insecure: false }) {
      const scope = `repository:${path}:${actions === "push" ? "pull,push" : "pull"}`;
      const from = insecure ? insecureOnes : endpoints;
      const mirrors = actions === "pull";
      return new RemoteRepository(session(from, domain, scope, mirrors, credential), path);
    },

    async login(credential, signal) {
      const domain = loginDomain(credential.serverAddress);
      const candidates = await endpoints.of(domain, false);
      for (const [index, endpoint] of candidates.entries()) {
        try {
          return await loginAt(client, { ...endpoint, credential, signal });
        } catch (error) {
          const last = index === candidates.length - 1;
          if (last || !(error instanceof EngineError) || error.kind !== "internal") throw error;
        }
      }
      throw new EngineError("internal", `no endpoint for ${domain}`);
    },

    async search(domain, term, limit, credential, signal) {
      if (domain !== "docker.io") {
        await pingForSearch(client, await endpoints.of(domain, false), signal);
      }
      const query = new URLSearchParams({ q: term, n: String(limit) });
      const response = await session(endpoints, searchDomain(domain), "", false, credential).send({
        method: "GET",
        target: `/v1/search?${query.toString()}`,
        accept: [200],
        tries: 2,
        showsQuery: true,
        signal,
      });
      const { bytes, whole } = await readBody(response, maxSearchBytes);
      if (!whole) throw new EngineError("internal", "the registry's answer is too large");
      return foundRepositories(bytes).slice(0, limit);
    },

    fetchUrl: (url, signal) => fetchUrl(client, url, signal),

    close() {
      client.close();
    },
  };
}

/** The hub answers searches under another name than pulls. */
function searchDomain(domain: string): string {
  return domain === "docker.io" ? "index.docker.io" : domain;
}

function loginDomain(address: string): string {
  const host = address.replace(/^https?:\/\//, "").split("/")[0] ?? "";
  const [bad] = /[\s"<>\\^`{|}]/.exec(host) ?? [];
  if (bad !== undefined) {
    const problem = `invalid character ${JSON.stringify(bad)} in host name`;
    throw invalidArgument(
      `unable to parse server address: parse ${JSON.stringify(`https://${host}`)}: ${problem}`,
    );
  }
  return host === "" || host === "index.docker.io" || host === "docker.io" ? "docker.io" : host;
}

interface LoginAttempt {
  readonly base: string;
  readonly tls: Parameters<HttpClient["send"]>[0]["tls"];
  readonly credential: Credential;
  readonly signal: AbortSignal;
}

async function loginAt(client: HttpClient, attempt: LoginAttempt): Promise<string> {
  const { base, tls, credential, signal } = attempt;
  const url = urlAt({ base }, "/v2/");
  const ask = (authorization?: string): ReturnType<HttpClient["send"]> =>
    client.send({
      method: "GET",
      url,
      called: `${base}/v2/`,
      headers: authorization === undefined ? {} : { authorization },
      tls,
      signal,
    });
  const first = await ask();
  dropBody(first);
  if (first.status === 200) return "";
  const challenges = parseChallenges(headerText(first, "www-authenticate"));
  const bearer = challenges.find(({ scheme }) => scheme === "bearer");
  if (first.status !== 401 || challenges.length === 0) throw registryError(first, Buffer.alloc(0));
  const issued =
    bearer &&
    (await fetchToken(client, {
      challenge: bearer,
      registry: url,
      scope: "",
      credential,
      tls,
      offline: true,
      signal,
    }));
  const second = await ask(
    issued === undefined ? basicAuthorization(credential) : `Bearer ${issued.token}`,
  );
  dropBody(second);
  if (second.status === 200) return issued?.refreshToken ?? "";
  if (second.status === 401) {
    throw unauthenticated(`login attempt to ${url.href} failed with status: 401 Unauthorized`);
  }
  throw registryError(second, Buffer.alloc(0));
}

const searchAnswer = object(
  {},
  {
    results: list(
      object(
        {},
        {
          name: string,
          description: string,
          star_count: (value: unknown): number =>
            Number.isSafeInteger(value) ? (value as number) : 0,
          is_official: (value: unknown): boolean => value === true,
        },
      ),
    ),
  },
);

function foundRepositories(bytes: Buffer): FoundRepository[] {
  const answer = searchAnswer(
    parseDocument(bytes, "search result", maxSearchBytes),
    "search result",
  );
  return (answer.results ?? []).map((each) => ({
    name: plainText(each.name ?? ""),
    description: plainText(each.description ?? ""),
    starCount: each.star_count ?? 0,
    isOfficial: each.is_official ?? false,
  }));
}

async function* fetchUrl(
  client: HttpClient,
  text: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (/^https?:\/*$/.test(text)) throw internal('Get "http:": http: no Host in request URL');
  const whole = URL.canParse(text) ? text : `http://${text}`;
  let url = URL.canParse(whole) ? new URL(whole) : undefined;
  for (let hops = 0; hops < 8; hops++) {
    if (url !== undefined && !/^https?:$/.test(url.protocol)) {
      const scheme = url.protocol.slice(0, -1);
      throw internal(
        `Get ${JSON.stringify(plainText(url.href))}: unsupported protocol scheme "${scheme}"`,
      );
    }
    if (url === undefined || isForbiddenTarget(url.hostname)) {
      throw invalidArgument(`invalid URL ${JSON.stringify(plainText(text))}`);
    }
    const target: URL = url;
    const response = await client.send({
      method: "GET",
      url: target,
      headers: {},
      tls: { context: undefined, verify: true },
      // The first URL is the user's own.
      ...(hops === 0
        ? { called: shownAsWritten(whole, target) }
        : { sentBy: new URL(whole).hostname }),
      signal,
    });
    const { location } = response.headers;
    if (response.status >= 300 && response.status < 400 && location !== undefined) {
      dropBody(response);
      url = URL.canParse(location, target) ? new URL(location, target) : undefined;
      continue;
    }
    if (response.status !== 200) {
      dropBody(response);
      throw invalidArgument(
        `got status code ${response.status} from ${target.origin}${target.pathname}`,
      );
    }
    try {
      yield* response.body as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw connectionError("GET", target, error);
    }
    return;
  }
  throw invalidArgument("stopped after 8 redirects");
}
