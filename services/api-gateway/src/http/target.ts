/** Where a request goes: version, path, query and route. */
import type { EngineError } from "@gantry/errors";
import { invalidArgument } from "@gantry/errors";
import { Query } from "./query.ts";
import type { Method } from "./route.ts";
import type { Match, Router } from "./router.ts";
import { splitVersion } from "./version.ts";

/** A request line, understood. */
export interface Target {
  /** `1.41` as in the path; undefined for a bare path. */
  readonly versionText: string | undefined;
  /** Decoded, without version. */
  readonly path: string;
  readonly query: Query;
  readonly match: Match;
  /** The path can't be decoded. */
  readonly problem: EngineError | undefined;
}

/** Understands a request line. Never throws. */
export function findTarget(router: Router, method: string, url: string): Target {
  const questionMark = url.indexOf("?");
  const rawPath = questionMark === -1 ? url : url.slice(0, questionMark);
  const query = new Query(questionMark === -1 ? "" : url.slice(questionMark + 1));
  const decoded = decodePath(withoutAuthority(rawPath));
  if (decoded === undefined) {
    const problem = invalidArgument("invalid URL escape in path");
    return { versionText: undefined, path: rawPath, query, match: { kind: "none" }, problem };
  }
  const { text, path } = splitVersion(decoded);
  const match = router.match(method as Method, path);
  return { versionText: text, path, query, match, problem: undefined };
}

function decodePath(path: string): string | undefined {
  if (!path.includes("%")) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    // The one thing it throws for is an escape that isn't UTF-8.
    return undefined;
  }
}

/** Proxies send the absolute form; `OPTIONS *` is about the server itself. */
function withoutAuthority(path: string): string {
  if (path === "*") return "/*";
  return path.startsWith("/") ? path : path.replace(/^https?:\/\/[^/]*/, "");
}
