/** Headers that every answer of a known route carries. */
import { engineVersion, newestApi } from "../identity.ts";

/** What `Server` says. */
const serverName = `Docker/${engineVersion} (linux)`;

/** On a rejected version; elsewhere commonHeaders. */
export const versionHeaders: readonly string[] = [
  "Api-Version",
  newestApi,
  "Ostype",
  "linux",
  "Server",
  serverName,
];

/** On a rejected version whose clients understand plain text only: what Go's text errors have. */
export const plainVersionHeaders: readonly string[] = [
  ...versionHeaders,
  "X-Content-Type-Options",
  "nosniff",
];

/** As a flat list of names and values, the form that writeHead takes without a copy. */
export const commonHeaders: readonly string[] = [
  "Api-Version",
  newestApi,
  "Docker-Experimental",
  "false",
  "Ostype",
  "linux",
  "Server",
  serverName,
];
