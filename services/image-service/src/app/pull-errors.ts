/** Docker's words for what a registry refused. */
import { EngineError, notFound } from "@gantry/errors";
import { familiarName, familiarRepository, type Reference } from "@gantry/oci";

/** The error with Docker's words, where it has some of its own. */
export function explainRefusal(error: unknown, reference: Reference): unknown {
  if (!(error instanceof EngineError)) return error;
  if (!("code" in error)) {
    // As dockerd has it: to a 401 the CLI would ask for a password, of whom nobody may be there to know it.
    return error.kind === "unauthenticated"
      ? new EngineError("internal", error.message, { cause: error })
      : error;
  }
  const name = familiarRepository(reference);
  const words = error.message;
  switch (error.code) {
    case "MANIFEST_UNKNOWN":
      return notFound(
        "image",
        name,
        `manifest for ${familiarName(reference)} not found: ${words}`,
        {
          cause: error,
        },
      );
    case "NAME_UNKNOWN":
      return notFound("image", name, `repository ${name} not found: ${words}`, { cause: error });
    case "DENIED":
      return accessDenied(name, words, error);
    case "UNAUTHORIZED":
      return accessDenied(name, words, error);
    default:
      return byStatus(error, reference);
  }
}

function accessDenied(name: string, words: string, cause: unknown): EngineError {
  return notFound(
    "image",
    name,
    `pull access denied for ${name}, repository does not exist or may require 'docker login': ${words}`,
    { cause },
  );
}

/** The registry gave no code: its status must do. */
function byStatus(error: EngineError, reference: Reference): unknown {
  const name = familiarRepository(reference);
  if (error.kind === "not_found") {
    return notFound(
      "image",
      name,
      `manifest for ${familiarName(reference)} not found: manifest unknown: manifest unknown`,
      { cause: error },
    );
  }
  if (error.kind === "unauthenticated" || error.kind === "permission_denied") {
    return accessDenied(name, "denied: requested access to the resource is denied", error);
  }
  return error;
}
