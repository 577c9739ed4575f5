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
