/** Answers for what this engine doesn't have, in Docker's words where it has some. */
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import {
  EngineError,
  internal,
  invalidArgument,
  notFound,
  notImplemented,
  unavailable,
} from "@gantry/errors";
import { parseReference, type Reference } from "@gantry/oci";
import type { ApiCall } from "../api-call.ts";
import { Fields } from "../decode/fields.ts";
import { readAnyFilters, readFilters } from "../decode/filters.ts";
import type { Handler } from "../route.ts";

/** 501: to come in a later version. */
function notYet(what: string): Handler {
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
    await checkUpdate(call, noun, goType);
    return notManager(call);
  };
}

async function checkUpdate(call: ApiCall, noun: string, goType: string): Promise<void> {
  await call.checkJson("object", goType);
  const version = call.query.text("version");
  const problem = unsignedProblem(version);
  if (problem === undefined) return;
  throw invalidArgument(
    `invalid ${noun} version '${version}': strconv.ParseUint: parsing ${JSON.stringify(version)}: ${problem}`,
  );
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

function checkBool(call: ApiCall, name: string): void {
  const word = call.query.text(name);
  if (boolWords.has(word)) return;
  throw invalidArgument(
    `invalid value for ${name}: ${word}: strconv.ParseBool: parsing ${JSON.stringify(word)}: invalid syntax`,
  );
}

/** The same for one service: its only option is read first. */
export const notManagerOfService: Handler = (call: ApiCall) => {
  checkBool(call, "insertDefaults");
  return notManager(call);
};

/** The same for all services. */
export const notManagerOfServices: Handler = (call: ApiCall) => {
  readAnyFilters(call.query);
  checkBool(call, "status");
  return notManager(call);
};

const rotations = ["rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey"];

/** The same for the swarm itself, whose keys an update may change. */
export const notManagerOfSwarm: Handler = async (call: ApiCall) => {
  await checkUpdate(call, "swarm", "swarm.Spec");
  const wrong = rotations.find((name) => !boolWords.has(call.query.text(name)));
  if (wrong === undefined) return notManager(call);
  throw invalidArgument(`invalid value for ${wrong}: ${call.query.text(wrong)}`);
};

/** A swarm to be made. */
export const makeNoSwarm: Handler = async (call: ApiCall) => {
  const body = await swarmBody(call, "InitRequest");
  checkListenAddress(body.text("ListenAddr"));
  throw noSwarms();
};

/** A swarm to be joined. */
export const joinNoSwarm: Handler = async (call: ApiCall) => {
  const body = await swarmBody(call, "JoinRequest");
  const address = body.text("ListenAddr");
  if (address === "") throw noListenAddress();
  if ((body.texts("RemoteAddrs") ?? []).length === 0)
    throw invalidArgument("at least 1 RemoteAddr is required to join");
  checkListenAddress(address);
  throw noSwarms();
};

async function swarmBody(call: ApiCall, goStruct: string): Promise<Fields> {
  const body = await call.checkJson("object", `swarm.${goStruct}`);
  return new Fields(body instanceof Map ? body : new Map<string, never>(), "", goStruct);
}

function noListenAddress(): Error {
  return invalidArgument('invalid ListenAddr "": invalid empty address');
}

/** An IP address or a link of the host, with or without a port. */
function checkListenAddress(text: string): void {
  if (text === "") throw noListenAddress();
  const host = text.replace(/:\w*$/, "").replace(/^\[(.*)\]$/, "$1");
  if (host === "" || isIP(host) !== 0 || isIP(text) !== 0) return;
  if (Object.hasOwn(networkInterfaces(), host)) return;
  throw invalidArgument(
    "listen address must be an IP address or network interface (with optional port number)",
  );
}

/** Containers outlive the engine, as with a dockerd that has live restore on, and such a one says this. */
function noSwarms(): Error {
  return internal("--live-restore daemon configuration is incompatible with swarm mode");
}

/** Leaving a swarm that one is not in. */
export const notInSwarm: Handler = () => {
  throw unavailable("This node is not part of a swarm");
};

const pluginKeys = new Set(["capability", "enabled"]);

/** There are no plugins. */
export function listNoPlugins(call: ApiCall): void {
  const enabled = readFilters(call.query, pluginKeys).get("enabled") ?? [];
  if (enabled.length > 1 || enabled.some((word) => !["0", "1", "false", "true"].includes(word)))
    throw invalidArgument(`invalid filter 'enabled=[${enabled.join(" ")}]'`);
  call.json([]);
}

const installing = notYet("installing plugins");

/** A plugin from a registry: its reference comes first. */
export const installNoPlugin: Handler = (call: ApiCall) => {
  pluginReference(call.query.text("remote"));
  return installing(call);
};

/** The same with the privileges that it is to have, and perhaps a name of one's own. */
export const pullNoPlugin: Handler = async (call: ApiCall) => {
  await call.checkJson("array", "types.PluginPrivileges");
  pluginReference(call.query.text("remote"));
  const name = call.query.text("name");
  if (name !== "" && pluginReference(name).digest !== undefined)
    throw internal("cannot use digest in plugin tag");
  return installing(call);
};

/** A plugin from an archive. */
export const createNoPlugin: Handler = (call: ApiCall) => {
  const name = call.query.text("name");
  pluginReference(name, `failed to parse reference ${name}: `);
  return installing(call);
};

/** A reference, as Docker refuses it where plugins are meant. Errors: internal. */
function pluginReference(text: string, prefix = ""): Reference {
  try {
    return parseReference(text);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw internal(`${prefix}${error.message}`, { cause: error });
  }
}

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
  pluginReference(call.query.text("remote"));
  pluginReference(call.name);
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
