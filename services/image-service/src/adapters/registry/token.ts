/** Bearer tokens (the distribution project's token specification). */
import { EngineError, permissionDenied, unauthenticated } from "@gantry/errors";
import { parseDocument } from "@gantry/oci";
import type { Challenge } from "../../domain/www-authenticate.ts";
import type { Credential } from "../../ports/registry.ts";
import { type HttpClient, readBody, type TlsChoice } from "./http-client.ts";
import { isForbiddenTarget, isLoopback, isSameSite } from "./network-rules.ts";
import { registryError } from "./registry-error.ts";

/** Largest answer of a token server. */
const maxTokenBytes = 1024 * 1024;

/** What a token server gave. */
export interface IssuedToken {
  readonly token: string;
  /** For later logins, or empty. */
  readonly refreshToken: string;
}

export interface TokenRequest {
  readonly challenge: Challenge;
  /** The registry that sent the challenge. */
  readonly registry: URL;
  /** Used where the challenge names none. */
  readonly scope: string;
  readonly credential: Credential | undefined;
  readonly tls: TlsChoice;
  /** Ask for a refresh token. */
  readonly offline: boolean;
  readonly signal: AbortSignal;
}

/** Asks the challenge's realm for a token. Throws unauthenticated, or permission_denied for a realm not to be trusted. */
export async function fetchToken(client: HttpClient, request: TokenRequest): Promise<IssuedToken> {
  const realm = realmOf(request);
  const scope = request.challenge.parameters.get("scope") ?? request.scope;
  const service = request.challenge.parameters.get("service") ?? "";
  const credential = mayHaveCredential(request, realm) ? request.credential : undefined;
  const response = await client.send({
    ...(credential?.identityToken
      ? refreshGrant(realm, service, scope, credential.identityToken)
      : passwordGrant(realm, service, scope, credential, request.offline)),
    // The machine's authorities hold for a realm on another host.
    tls:
      realm.host === request.registry.host
        ? request.tls
        : { context: request.tls.context, verify: true },
    sentBy: realm.host === request.registry.host ? undefined : request.registry.hostname,
    signal: request.signal,
  });
  const { bytes, whole } = await readBody(response, maxTokenBytes);
  if (response.status !== 200) {
    throw registryError(response, bytes, {
      unauthorized: "unauthorized: incorrect username or password",
    });
  }
  if (!whole) throw new EngineError("internal", "the token server's answer is too large");
  return readToken(bytes);
}

function realmOf({ challenge, registry }: TokenRequest): URL {
  const text = challenge.parameters.get("realm") ?? "";
  const realm = URL.canParse(text) ? new URL(text) : undefined;
  if (realm === undefined || !["http:", "https:"].includes(realm.protocol)) {
    throw permissionDenied("the registry names no usable token server");
  }
  const here = isLoopback(registry.hostname);
  const downgrade =
    registry.protocol === "https:" && realm.protocol === "http:" && !isLoopback(realm.hostname);
  if (isForbiddenTarget(realm.hostname) || (isLoopback(realm.hostname) && !here) || downgrade) {
    throw permissionDenied(
      `refusing the token server ${realm.protocol}//${realm.host} of ${registry.host}`,
    );
  }
  return realm;
}

/** A password goes to the registry's own token server, and unencrypted only within this machine. */
function mayHaveCredential({ credential, registry }: TokenRequest, realm: URL): boolean {
  if (credential === undefined) return false;
  const local = isLoopback(realm.hostname) && isLoopback(registry.hostname);
  if (local) return true;
  const ours = isSameSite(registry.hostname, realm.hostname);
  if (realm.protocol === "https:" && ours) return true;
  throw permissionDenied(
    `refusing to send credentials for ${registry.host} to ${realm.protocol}//${realm.host}`,
  );
}

type Grant = Pick<Parameters<HttpClient["send"]>[0], "method" | "url" | "headers" | "body">;

function passwordGrant(
  realm: URL,
  service: string,
  scope: string,
  credential: Credential | undefined,
  offline: boolean,
): Grant {
  const url = new URL(realm);
  if (service !== "") url.searchParams.set("service", service);
  for (const each of scope.split(" ")) if (each !== "") url.searchParams.append("scope", each);
  if (credential === undefined) return { method: "GET", url, headers: {} };
  url.searchParams.set("account", credential.username);
  if (offline) {
    url.searchParams.set("offline_token", "true");
    url.searchParams.set("client_id", "docker");
  }
  return { method: "GET", url, headers: { authorization: basicAuthorization(credential) } };
}

function refreshGrant(realm: URL, service: string, scope: string, refreshToken: string): Grant {
  const form = new URLSearchParams({
    grant_type: "refresh_token",
    service,
    client_id: "docker",
    scope,
    refresh_token: refreshToken,
  });
  return {
    method: "POST",
    url: realm,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: Buffer.from(form.toString()),
  };
}

/** The header of basic authentication. */
export function basicAuthorization({ username, password }: Credential): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function readToken(bytes: Buffer): IssuedToken {
  const value = parseDocument(bytes, "token", maxTokenBytes) as Record<string, unknown> | null;
  const text = (key: string): string => {
    const member = value?.[key];
    return typeof member === "string" ? member : "";
  };
  const token = text("token") || text("access_token");
  // What does not fit into a header field is no token.
  if (!/^[\x21-\x7e]+$/.test(token)) throw unauthenticated("the token server gave no token");
  return { token, refreshToken: text("refresh_token") };
}
