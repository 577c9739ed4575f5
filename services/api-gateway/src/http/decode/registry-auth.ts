/** Registry credentials from headers and bodies. They are never logged. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { isEngineError } from "@gantry/errors";
import type { RegistryAuthSchema } from "@gantry/proto/image";
import { Fields } from "./fields.ts";
import { type JsonValue, parseJson } from "./json-value.ts";

/** Message initialiser. */
export type RegistryAuthInit = MessageInitShape<typeof RegistryAuthSchema>;

/**
 * The header X-Registry-Auth: base64 (either alphabet) of JSON. As in Docker, what can't be read counts
 * as anonymous: the registry then says what it thinks of that.
 */
export function parseRegistryAuth(header: string): RegistryAuthInit | undefined {
  if (header === "") return undefined;
  // Node's decoder takes both alphabets.
  const value = readJson(Buffer.from(header, "base64").toString());
  if (!(value instanceof Map)) return undefined;
  try {
    const auth = decodeAuth(new Fields(value));
    return Object.values(auth).every((each) => each === "") ? undefined : auth;
  } catch (error) {
    if (isEngineError(error)) return undefined;
    throw error;
  }
}

function readJson(text: string): JsonValue | undefined {
  try {
    return parseJson(text);
  } catch (error) {
    if (isEngineError(error)) return undefined;
    throw error;
  }
}

/** An AuthConfig object. */
export function decodeAuth(fields: Fields): RegistryAuthInit {
  const pair = fromPair(fields.text("auth"));
  return {
    username: fields.text("username") || pair.username,
    password: fields.text("password") || pair.password,
    serverAddress: fields.text("serveraddress"),
    identityToken: fields.text("identitytoken"),
    registryToken: fields.text("registrytoken"),
  };
}

/** `auth`: base64 of `username:password`. */
function fromPair(auth: string): { username: string; password: string } {
  const text = Buffer.from(auth, "base64").toString();
  const colon = text.indexOf(":");
  if (colon === -1) return { username: "", password: "" };
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replaceAll("\0", "") };
}
