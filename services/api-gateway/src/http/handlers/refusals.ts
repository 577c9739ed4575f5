/** Answers for what this engine doesn't have, in Docker's words where it has some. */
import { internal, invalidArgument, notFound, notImplemented, unavailable } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { readFilters } from "../decode/filters.ts";
import type { Handler } from "../route.ts";

/** 501: to come in a later version. */
export function notYet(what: string): Handler {
  return () => {
    throw notImplemented(`${what} is not supported by this version of Gantry`);
  };
}

/** Checkpoints exist in experimental daemons only. */
export const experimentalOnly: Handler = () => {
  throw notImplemented(
    "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
  );
};

/** Everything of a swarm, on a node that is in none. */
export const notManager: Handler = () => {
  throw unavailable(
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
};

/** As {@link notManager}, for an update: the version of what is to be updated is read first. */
export function notManagerOfVersion(noun: string): Handler {
  return (call: ApiCall) => {
    const version = call.query.text("version");
    if (/^\d+$/.test(version)) return notManager(call);
    throw invalidArgument(
      `invalid ${noun} version '${version}': strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`,
    );
  };
}

/** The same for secrets and configs, which say less. */
export function notManagerOfObject(noun: string): Handler {
  return (call: ApiCall) => {
    if (/^\d+$/.test(call.query.text("version"))) return notManager(call);
    throw invalidArgument(`invalid ${noun} version`);
  };
}

/** Leaving a swarm that one is not in. */
export const notInSwarm: Handler = () => {
  throw unavailable("This node is not part of a swarm");
};

const pluginKeys = new Set(["capability", "enabled"]);

/** There are no plugins. */
export function listNoPlugins(call: ApiCall): void {
  readFilters(call.query, pluginKeys);
  call.json([]);
}

/** Enabling: the time limit is read first, and has no default. */
export const enableNoPlugin: Handler = (call: ApiCall) => {
  const timeout = call.query.text("timeout");
  if (/^[+-]?\d+$/.test(timeout)) return noSuchPlugin(call);
  throw internal(`strconv.Atoi: parsing ${JSON.stringify(timeout)}: invalid syntax`);
};

/** Setting: a list of texts comes first. */
export const setNoPlugin: Handler = async (call: ApiCall) => {
  await call.checkJsonList("[]string");
  return noSuchPlugin(call);
};

/** Upgrading: privileges and the reference come first, and the name gets a tag. */
export const upgradeNoPlugin: Handler = async (call: ApiCall) => {
  await call.checkJsonList("types.PluginPrivileges");
  if (call.query.text("remote") === "") throw internal("invalid reference format");
  const name = call.name.includes(":") ? call.name : `${call.name}:latest`;
  throw notFound("plugin", name, `plugin "${name}" not found`);
};

/** A plugin by name: there is none. */
export const noSuchPlugin: Handler = ({ name }: ApiCall) => {
  throw notFound("plugin", name, `plugin "${name}" not found`);
};

/** An attestation of an image needs a newer API than the newest here; the row states the route. */
export const tooNew: Handler = () => {
  throw invalidArgument("this API version has no such endpoint");
};
