/** Answers for what this engine doesn't have, in Docker's words where it has some. */
import { internal, invalidArgument, notFound, notImplemented, unavailable } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { Fields } from "../decode/fields.ts";
import { readAnyFilters, readFilters } from "../decode/filters.ts";
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

/** As {@link notManager}, for a list: its filters are read first. */
export const notManagerOfList: Handler = (call: ApiCall) => {
  readAnyFilters(call.query);
  return notManager(call);
};

/** The same for something made of a JSON body. @param goType Docker's name of what the body is */
export function notManagerOfNew(goType: string): Handler {
  return async (call: ApiCall) => {
    await call.checkJson("object", goType);
    return notManager(call);
  };
}

/** The same for an update: first the body, then the version of what is to be updated. */
export function notManagerOfVersion(noun: string, goType: string): Handler {
  return async (call: ApiCall) => {
    await call.checkJson("object", goType);
    const version = call.query.text("version");
    const problem = unsignedProblem(version);
    if (problem === undefined) return notManager(call);
    throw invalidArgument(
      `invalid ${noun} version '${version}': strconv.ParseUint: parsing ${JSON.stringify(version)}: ${problem}`,
    );
  };
}

/** The same for secrets and configs, which say less. */
export function notManagerOfObject(noun: string, goType: string): Handler {
  return async (call: ApiCall) => {
    await call.checkJson("object", goType);
    if (unsignedProblem(call.query.text("version")) === undefined) return notManager(call);
    throw invalidArgument(`invalid ${noun} version`);
  };
}

/** What is wrong with a number of 64 bits without sign. */
function unsignedProblem(text: string): string | undefined {
  if (!/^\d+$/.test(text)) return "invalid syntax";
  return BigInt(text) >= 2n ** 64n ? "value out of range" : undefined;
}

/** The same for logs: a stream has to be asked for. */
export const notManagerOfLogs: Handler = (call: ApiCall) => {
  if (call.query.flag("stdout") || call.query.flag("stderr")) return notManager(call);
  throw internal("Bad parameters: you must choose at least one stream");
};

const boolWords = new Set([
  "",
  ...["1", "t", "T", "TRUE", "true", "True"],
  ...["0", "f", "F", "FALSE", "false", "False"],
]);

/** The same for one service: its only option is read first. */
export const notManagerOfService: Handler = (call: ApiCall) => {
  const word = call.query.text("insertDefaults");
  if (boolWords.has(word)) return notManager(call);
  throw invalidArgument(
    `invalid value for insertDefaults: ${word}: strconv.ParseBool: parsing ${JSON.stringify(word)}: invalid syntax`,
  );
};

/** A swarm to be made or joined: what Docker complains of first, then that there are no swarms here. */
export function noSwarmYet(goType: string): Handler {
  const refuse = notYet("swarm mode");
  return async (call: ApiCall) => {
    const body = await call.checkJson("object", goType);
    if (body instanceof Map && new Fields(body).text("ListenAddr") !== "") return refuse(call);
    throw invalidArgument('invalid ListenAddr "": invalid empty address');
  };
}

/** Leaving a swarm that one is not in. */
export const notInSwarm: Handler = () => {
  throw unavailable("This node is not part of a swarm");
};

const pluginKeys = new Set(["capability", "enabled"]);

/** There are no plugins. */
export function listNoPlugins(call: ApiCall): void {
  const enabled = readFilters(call.query, pluginKeys).get("enabled") ?? [];
  if (enabled.some((word) => !["0", "1", "false", "true"].includes(word)))
    throw invalidArgument(`invalid filter 'enabled=[${enabled.join(" ")}]'`);
  call.json([]);
}

/** A plugin from a registry: its name comes first. */
export const installNoPlugin: Handler = (call: ApiCall) => {
  if (call.query.text("remote") === "") throw internal("invalid reference format");
  return notYet("installing plugins")(call);
};

/** The same with the privileges that it is to have. */
export const pullNoPlugin: Handler = async (call: ApiCall) => {
  await call.checkJson("array", "types.PluginPrivileges");
  return installNoPlugin(call);
};

/** A plugin from an archive. */
export const createNoPlugin: Handler = (call: ApiCall) => {
  if (call.query.text("name") === "")
    throw internal("failed to parse reference : invalid reference format");
  return notYet("installing plugins")(call);
};

/** Enabling: the time limit is read first, and has no default. */
export const enableNoPlugin: Handler = (call: ApiCall) => {
  const timeout = call.query.text("timeout");
  if (/^[+-]?\d+$/.test(timeout)) return noSuchPlugin(call);
  throw internal(`strconv.Atoi: parsing ${JSON.stringify(timeout)}: invalid syntax`);
};

/** Setting: a list of texts comes first. */
export const setNoPlugin: Handler = async (call: ApiCall) => {
  await call.checkJson("array", "[]string");
  return noSuchPlugin(call);
};

/** Upgrading: privileges and the reference come first, and the name gets a tag. */
export const upgradeNoPlugin: Handler = async (call: ApiCall) => {
  await call.checkJson("array", "types.PluginPrivileges");
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
