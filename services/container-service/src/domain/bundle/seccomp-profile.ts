/**
 * A seccomp profile as Docker reads it: that of the runtime-spec, and rules besides that hold only with or without
 * certain capabilities, architectures and kernels. What does not hold here must not get into the filter.
 */
import { internal, toEngineError } from "@gantry/errors";
import {
  bigInteger,
  integer,
  list,
  object,
  type Parsed,
  parseExactJson,
  type RuntimeSeccomp,
  string,
  wholeJsonProblem,
} from "@gantry/oci";

/** What the conditions of a rule are held against. */
export interface SeccompPlace {
  /** The bounding set of the container. */
  readonly capabilities: readonly string[];
  /** Kernel's name of the machine, `x86_64`. */
  readonly machine: string;
  /** Kernel's release, `6.1.0-13-amd64`. */
  readonly kernel: string;
}

const condition = object({}, { caps: list(string), arches: list(string), minKernel: string });
type Condition = Parsed<typeof condition>;

const argument = object(
  { index: integer },
  { op: string, value: bigInteger, valueTwo: bigInteger },
);

const rule = object(
  {},
  {
    name: string,
    names: list(string),
    action: string,
    errnoRet: integer,
    args: list(argument),
    includes: condition,
    excludes: condition,
  },
);
type Rule = Parsed<typeof rule>;

const profile = object(
  {},
  {
    defaultAction: string,
    defaultErrnoRet: integer,
    architectures: list(string),
    archMap: list(object({}, { architecture: string, subArchitectures: list(string) })),
    flags: list(string),
    listenerPath: string,
    syscalls: list(rule),
  },
);
type Profile = Parsed<typeof profile>;

/** Names of members. Docker takes them in any case; one that it would take must not be passed over. */
const members = new Map(
  `defaultAction defaultErrnoRet architectures archMap architecture subArchitectures flags listenerPath syscalls
   name names action errnoRet args index value valueTwo op includes excludes caps arches minKernel`
    .split(/\s+/)
    .map((name) => [name.toLowerCase(), name]),
);

/** Machines by the names that profiles have for them. */
const machines: Readonly<Record<string, { readonly arch: string; readonly token: string }>> = {
  x86_64: { arch: "amd64", token: "SCMP_ARCH_X86_64" },
  aarch64: { arch: "arm64", token: "SCMP_ARCH_AARCH64" },
};

const problem = "Decoding seccomp profile failed: ";

/** The filter that a profile's text asks for at this place; undefined: none. Throws internal, as Docker does. */
export function seccompOf(text: string, place: SeccompPlace): RuntimeSeccomp | undefined {
  const asked = decode(text);
  const { defaultAction = "", syscalls = [], architectures = [], archMap = [] } = asked;
  if (defaultAction === "" && syscalls.length === 0) return undefined;
  if (architectures.length > 0 && archMap.length > 0) {
    throw internal(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  }
  const { archMap: _map, ...kept } = asked;
  return {
    ...kept,
    defaultAction,
    architectures: [...architectures, ...mapped(archMap, place)],
    syscalls: syscalls.filter((each) => holds(each, place)).map(plainRule),
  };
}

function decode(text: string): Profile {
  const wrong = wholeJsonProblem(text);
  if (wrong !== undefined) throw internal(problem + wrong);
  try {
    return profile(canonical(parseExactJson(text, "seccomp profile")) ?? {}, "");
  } catch (error) {
    throw internal(problem + toEngineError(error).message, { cause: error });
  }
}

/** Members under their own names, and those that are null left out. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .filter(([, each]) => each !== null)
    .map(([name, each]) => [members.get(name.toLowerCase()) ?? name, canonical(each)] as const);
  return Object.fromEntries(entries);
}

/** The machine's own architecture and those that it runs besides. */
function mapped(map: NonNullable<Profile["archMap"]>, { machine }: SeccompPlace): string[] {
  const own = machines[machine]?.token;
  const found = map.find(({ architecture }) => architecture === own);
  return found === undefined || own === undefined ? [] : [own, ...(found.subArchitectures ?? [])];
}

function holds({ includes, excludes }: Rule, place: SeccompPlace): boolean {
  return meets(includes ?? {}, place) && !excluded(excludes ?? {}, place);
}

/** All that is named is there. */
function meets({ caps = [], arches = [], minKernel }: Condition, place: SeccompPlace): boolean {
  if (arches.length > 0 && !arches.includes(machines[place.machine]?.arch ?? "")) return false;
  if (!caps.every((name) => place.capabilities.includes(name))) return false;
  return minKernel === undefined || isSince(place.kernel, minKernel);
}

/** Something that is named is there. */
function excluded({ caps = [], arches = [], minKernel }: Condition, place: SeccompPlace): boolean {
  if (arches.includes(machines[place.machine]?.arch ?? "")) return true;
  if (caps.some((name) => place.capabilities.includes(name))) return true;
  return minKernel !== undefined && isSince(place.kernel, minKernel);
}

function isSince(kernel: string, minimum: string): boolean {
  const [has = 0, hasMinor = 0] = release(kernel);
  const [needs = 0, needsMinor = 0] = release(minimum);
  return has > needs || (has === needs && hasMinor >= needsMinor);
}

function release(version: string): number[] {
  const match = /^(\d+)\.(\d+)/.exec(version);
  if (match === null) throw internal(`${problem}${version} is no kernel version`);
  return match.slice(1).map(Number);
}

function plainRule({ name = "", names = [], action = "", errnoRet, args = [] }: Rule) {
  if (name !== "" && names.length > 0) {
    throw internal(
      "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
    );
  }
  return {
    names: name === "" ? names : [name],
    action,
    ...(errnoRet === undefined ? {} : { errnoRet }),
    args: args.map(({ op = "", value = 0, ...rest }) => ({ ...rest, op, value })),
  };
}
