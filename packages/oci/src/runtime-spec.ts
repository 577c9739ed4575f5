/**
 * The OCI runtime-spec 1.2 for Linux, as far as a runtime acts on it: types, and the parser that
 * makes them of a config.json. The types are those of the parser, so they cannot drift apart.
 */

import { invalidArgument } from "@gantry/errors";
import {
  bigInteger,
  boolean,
  integer,
  list,
  object,
  oneOf,
  type Parse,
  type Parsed,
  parseExactJson,
  record,
  string,
} from "./json-shape.ts";

const user = object(
  {},
  { uid: integer, gid: integer, umask: integer, additionalGids: list(integer), username: string },
);

const capabilitySet = list(string);

const rlimit = object({ type: string, soft: bigInteger, hard: bigInteger }, {});

const process = object(
  { cwd: string },
  {
    terminal: boolean,
    consoleSize: object({ height: integer, width: integer }, {}),
    user,
    args: list(string),
    env: list(string),
    capabilities: object(
      {},
      {
        bounding: capabilitySet,
        effective: capabilitySet,
        permitted: capabilitySet,
        inheritable: capabilitySet,
        ambient: capabilitySet,
      },
    ),
    rlimits: list(rlimit),
    noNewPrivileges: boolean,
    apparmorProfile: string,
    selinuxLabel: string,
    oomScoreAdj: integer,
  },
);

const mount = object(
  { destination: string },
  { type: string, source: string, options: list(string) },
);

const hook = object({ path: string }, { args: list(string), env: list(string), timeout: integer });
const hooks = list(hook);

const device = object(
  { path: string, type: oneOf("c", "b", "u", "p") },
  { major: integer, minor: integer, fileMode: integer, uid: integer, gid: integer },
);

const deviceRule = object(
  { allow: boolean },
  { type: string, major: integer, minor: integer, access: string },
);

const deviceWeight = object(
  { major: integer, minor: integer },
  { weight: integer, leafWeight: integer },
);
const deviceRate = object({ major: integer, minor: integer, rate: bigInteger }, {});
const deviceRates = list(deviceRate);

const resources = object(
  {},
  {
    devices: list(deviceRule),
    memory: object(
      {},
      {
        limit: bigInteger,
        reservation: bigInteger,
        swap: bigInteger,
        kernel: bigInteger,
        kernelTCP: bigInteger,
        swappiness: integer,
        disableOOMKiller: boolean,
        useHierarchy: boolean,
        checkBeforeUpdate: boolean,
      },
    ),
    cpu: object(
      {},
      {
        shares: integer,
        quota: bigInteger,
        burst: bigInteger,
        period: integer,
        realtimeRuntime: bigInteger,
        realtimePeriod: integer,
        cpus: string,
        mems: string,
        idle: integer,
      },
    ),
    pids: object({}, { limit: bigInteger }),
    blockIO: object(
      {},
      {
        weight: integer,
        leafWeight: integer,
        weightDevice: list(deviceWeight),
        throttleReadBpsDevice: deviceRates,
        throttleWriteBpsDevice: deviceRates,
        throttleReadIOPSDevice: deviceRates,
        throttleWriteIOPSDevice: deviceRates,
      },
    ),
    hugepageLimits: list(object({ pageSize: string, limit: bigInteger }, {})),
    network: object(
      {},
      { classID: integer, priorities: list(object({ name: string, priority: integer }, {})) },
    ),
    rdma: record(object({}, { hcaHandles: integer, hcaObjects: integer })),
    unified: record(string),
  },
);

const seccompArgument = object(
  { index: integer, value: bigInteger, op: string },
  { valueTwo: bigInteger },
);

const seccomp = object(
  { defaultAction: string },
  {
    defaultErrnoRet: integer,
    architectures: list(string),
    flags: list(string),
    listenerPath: string,
    syscalls: list(
      object(
        { names: list(string), action: string },
        { errnoRet: integer, args: list(seccompArgument) },
      ),
    ),
  },
);

const namespace = object(
  { type: oneOf("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time") },
  { path: string },
);

const idMapping = object({ containerID: integer, hostID: integer, size: integer }, {});

const linux = object(
  {},
  {
    namespaces: list(namespace),
    uidMappings: list(idMapping),
    gidMappings: list(idMapping),
    devices: list(device),
    cgroupsPath: string,
    resources,
    rootfsPropagation: oneOf(
      "private",
      "rprivate",
      "slave",
      "rslave",
      "shared",
      "rshared",
      "unbindable",
      "runbindable",
    ),
    seccomp,
    sysctl: record(string),
    maskedPaths: list(string),
    readonlyPaths: list(string),
    mountLabel: string,
  },
);

const spec = object(
  { ociVersion: string },
  {
    root: object({ path: string }, { readonly: boolean }),
    process,
    hostname: string,
    domainname: string,
    mounts: list(mount),
    hooks: object(
      {},
      {
        prestart: hooks,
        createRuntime: hooks,
        createContainer: hooks,
        startContainer: hooks,
        poststart: hooks,
        poststop: hooks,
      },
    ),
    annotations: record(string),
    linux,
  },
);

/** A whole config.json. */
export type RuntimeSpec = Parsed<typeof spec>;
/** `process`: what to execute, and as whom. */
export type RuntimeProcess = Parsed<typeof process>;
/** `mounts[]`. */
export type RuntimeMount = Parsed<typeof mount>;
/** `linux`. */
export type RuntimeLinux = Parsed<typeof linux>;
/** `linux.namespaces[]`. */
export type RuntimeNamespace = Parsed<typeof namespace>;
/** `linux.devices[]`: a node to make. */
export type RuntimeDevice = Parsed<typeof device>;
/** `linux.resources`: limits. */
export type RuntimeResources = Parsed<typeof resources>;
/** `linux.resources.devices[]`: a rule of the device cgroup, in order. */
export type RuntimeDeviceRule = Parsed<typeof deviceRule>;
/** `linux.seccomp`. */
export type RuntimeSeccomp = Parsed<typeof seccomp>;
/** `process.rlimits[]`. */
export type RuntimeRlimit = Parsed<typeof rlimit>;
/** `linux.uidMappings[]`. */
export type RuntimeIdMapping = Parsed<typeof idMapping>;
/** One hook. */
export type RuntimeHook = Parsed<typeof hook>;
/** `hooks`, by stage. */
export type RuntimeHooks = NonNullable<RuntimeSpec["hooks"]>;

/** Parses a config.json. Throws invalid_argument that names the wrong member. */
export function parseRuntimeSpec(text: string): RuntimeSpec {
  const parsed = spec(parseExactJson(text, "config.json"), "");
  if (!/^1\.\d+\.\d+/.test(parsed.ociVersion)) {
    throw invalidArgument(`ociVersion: ${parsed.ociVersion} is not supported`);
  }
  return parsed;
}

/** Parses a `process` object (an exec's). */
export function parseRuntimeProcess(text: string): RuntimeProcess {
  return parsePart(process, text, "process");
}

/** Parses a `linux.resources` object (an update's). */
export function parseRuntimeResources(text: string): RuntimeResources {
  return parsePart(resources, text, "resources");
}

function parsePart<T>(parse: Parse<T>, text: string, what: string): T {
  return parse(parseExactJson(text, what), what);
}
