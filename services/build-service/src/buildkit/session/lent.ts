/** Secrets and credentials that a client lends. Their values are never logged. */
import { hasKind, resourceExhausted } from "@gantry/errors";
import { Auth, Secrets } from "@gantry/proto/buildkit";
import type { Credential } from "../../ports/build-inputs.ts";
import { methodPathOf } from "../wire/client-connection.ts";
import type { Session } from "./session.ts";

/** What one secret may have, as in BuildKit. */
const maxSecretBytes = 500 * 1024;

/** People may have to unlock a key store. */
const timeoutMs = 60_000;

/** A secret's value; undefined: the client has none of that ID. */
export async function findSecret(
  session: Session | undefined,
  id: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (session?.serves(methodPathOf(Secrets.method.getSecret)) !== true) return undefined;
  const answer = await orNone(
    session.connection.unary(Secrets.method.getSecret, { id }, { signal, timeoutMs }),
  );
  if (answer !== undefined && answer.data.length > maxSecretBytes) {
    throw resourceExhausted(`secret ${id} is bigger than ${String(maxSecretBytes)} bytes`);
  }
  return answer?.data;
}

/** The credential for a registry; undefined: none. */
export async function findCredential(
  session: Session | undefined,
  host: string,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  if (session?.serves(methodPathOf(Auth.method.credentials)) !== true) return undefined;
  const answer = await orNone(
    session.connection.unary(Auth.method.credentials, { host }, { signal, timeoutMs }),
  );
  if (answer === undefined || answer.secret === "") return undefined;
  const { username, secret } = answer;
  return username === ""
    ? { username, password: "", identityToken: secret }
    : { username, password: secret, identityToken: "" };
}

/** Clients say in either way that they have no such thing. */
async function orNone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (hasKind(error, "not_found") || hasKind(error, "not_implemented")) return undefined;
    throw error;
  }
}
