/** Filters of `docker ps` and prune. Keys are ANDed, values of a key ORed, labels ANDed. */
import { invalidArgument } from "@gantry/errors";
import { type ContainerRecord, statusOf } from "./container-record.ts";
import { isRunning, type Status } from "./container-state.ts";

/** Values by key. */
export type Filters = Readonly<Record<string, readonly string[]>>;

/** What filters ask beyond the record. */
export interface FilterContext {
  /** Health status, or `none`. */
  health(id: string): string;
  isOnNetwork(id: string, reference: string): boolean;
  mounts(id: string, nameOrDestination: string): boolean;
  /** Ports of the host, `8080/tcp`. Empty where it does not run, as below. */
  published(id: string): readonly string[];
  /** Ports of the container, published or not, `80/tcp`. */
  exposed(id: string): readonly string[];
  /** When a container named by before or since was made. Throws invalid_argument or not_found. */
  createdNano(reference: string): bigint;
  /** IDs of the image that a value of `ancestor` names and of those made of it; undefined: not known. */
  ancestors(value: string): ReadonlySet<string> | undefined;
}

const listKeys = new Set([
  "ancestor",
  "before",
  "expose",
  "exited",
  "health",
  "id",
  "isolation",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
  "is-task",
]);

const statuses: readonly string[] = [
  "created",
  "running",
  "paused",
  "restarting",
  "removing",
  "exited",
  "dead",
] satisfies Status[];

const healths = ["none", "starting", "healthy", "unhealthy"];

/** Whether stopped containers are meant as well: a filter of status or exit code says so. */
export function meansAll(filters: Filters): boolean {
  return (filters["status"]?.length ?? 0) > 0 || (filters["exited"]?.length ?? 0) > 0;
}

/** A test for one container. Throws invalid_argument for unknown keys and values. */
export function compileFilters(
  filters: Filters,
  context: FilterContext,
): (record: ContainerRecord) => boolean {
  const tests = Object.entries(filters)
    .filter(([, values]) => values.length > 0)
    .map(([key, values]) => compileKey(key, values, context));
  return (record) => tests.every((test) => test(record));
}

type Test = (record: ContainerRecord) => boolean;

function compileKey(key: string, values: readonly string[], context: FilterContext): Test {
  if (!listKeys.has(key)) throw invalidArgument(`invalid filter '${key}'`);
  const any = (test: (record: ContainerRecord, value: string) => boolean): Test => {
    return (record) => values.some((value) => test(record, value));
  };
  switch (key) {
    case "id":
      return any((record, value) => record.id.startsWith(value) || safeTest(value, record.id));
    case "name":
      return any(({ name }, value) => safeTest(value, name) || safeTest(value, `/${name}`));
    case "label":
      return (record) => values.every((value) => hasLabel(record.config.labels, value));
    case "status":
      return oneOf(key, values, statuses, statusOf);
    case "health":
      return oneOf(key, values, healths, (record) => context.health(record.id));
    case "exited":
      return exitedTest(values);
    case "before":
    case "since":
      return orderTest(key, values, context);
    case "network":
      return any(({ id }, value) => context.isOnNetwork(id, value));
    case "volume":
      return any(({ id }, value) => context.mounts(id, value));
    case "ancestor":
      return any((record, value) => isAncestor(record, value, context));
    case "publish":
      return portTest(key, values, ({ id }) => context.published(id));
    case "expose":
      return portTest(key, values, ({ id }) => context.exposed(id));
    case "is-task":
      return taskTest(values);
    default:
      return () => values.includes("default") || values.includes("");
  }
}

function safeTest(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern).test(text);
  } catch {
    // What is no regular expression is plain text.
    return text.includes(pattern);
  }
}

/** `key` or `key=value`. */
export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf("=");
  if (at === -1) return Object.hasOwn(labels, wanted);
  return labels[wanted.slice(0, at)] === wanted.slice(at + 1);
}

function oneOf(
  key: string,
  values: readonly string[],
  known: readonly string[],
  read: (record: ContainerRecord) => string,
): Test {
  for (const value of values) {
    if (known.includes(value)) continue;
    const what = key === "status" ? "state" : key;
    throw invalidArgument(
      `invalid filter '${key}=${value}': invalid value for ${what} (${value}): must be one of ${known.join(", ")}`,
    );
  }
  return (record) => values.includes(read(record));
}

function exitedTest(values: readonly string[]): Test {
  const codes = values.map((value) => {
    if (!/^-?\d+$/.test(value))
      throw invalidArgument(
        `invalid filter 'exited=${value}': strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`,
      );
    return Number(value);
  });
  return ({ state }) =>
    !isRunning(state) && state.past.startedAtNano !== 0n && codes.includes(state.past.exitCode);
}

/** No container is a task of swarm. */
function taskTest(values: readonly string[]): Test {
  if (values.length > 1 || !["true", "1", "false", "0"].includes(values[0] ?? ""))
    throw invalidArgument(`invalid filter 'is-task=[${values.join(" ")}]'`);
  return () => values.includes("false") || values.includes("0");
}

function orderTest(key: string, values: readonly string[], context: FilterContext): Test {
  if (values.length > 1) throw invalidArgument(`invalid filter '${key}': at most one value`);
  const edge = context.createdNano(values[0] ?? "");
  return key === "before"
    ? ({ createdNano }) => createdNano < edge
    : ({ createdNano }) => createdNano > edge;
}

function isAncestor(record: ContainerRecord, value: string, context: FilterContext): boolean {
  const { image } = record;
  const ids = context.ancestors(value);
  if (ids !== undefined) return ids.has(image.id);
  const bare = image.id.replace(/^sha256:/, "");
  const isPrefix = /^[0-9a-f]{4,64}$/.test(value.replace(/^sha256:/, ""));
  if (isPrefix && bare.startsWith(value.replace(/^sha256:/, ""))) return true;
  return familiarName(image.reference) === familiarName(value) || image.id === value;
}

/** With tag, without `docker.io/library/`. */
function familiarName(reference: string): string {
  const short = reference.replace(/^docker\.io\//, "").replace(/^library\//, "");
  return /[:@][^/]+$/.test(short) ? short : `${short}:latest`;
}

function portTest(
  key: string,
  values: readonly string[],
  ports: (record: ContainerRecord) => readonly string[],
): Test {
  const wanted = values.map((value) => parsePortRange(key, value));
  return (record) =>
    ports(record).some((port) => {
      const [number, protocol = "tcp"] = port.split("/");
      return wanted.some(
        (each) =>
          each.protocol === protocol && Number(number) >= each.first && Number(number) <= each.last,
      );
    });
}

interface PortRange {
  readonly first: number;
  readonly last: number;
  readonly protocol: string;
}

/** `80`, `80/udp`, `80-90/tcp`. */
function parsePortRange(key: string, text: string): PortRange {
  const [ports = "", protocol = "tcp"] = text.split("/");
  const [first = "", last = first] = ports.split("-");
  const numbers = [first, last].map((each) => {
    const problem = portProblem(each);
    if (problem === undefined) return Number(each);
    throw invalidArgument(
      `error while looking up for ${key} ${text}: strconv.ParseUint: parsing ${JSON.stringify(each)}: ${problem}`,
    );
  });
  const [low = 0, high = low] = numbers;
  if (low > high)
    throw invalidArgument(
      `error while looking up for ${key} ${text}: Invalid range specified for the Port: ${ports}`,
    );
  return { first: low, last: high, protocol };
}

function portProblem(text: string): string | undefined {
  if (!/^\d+$/.test(text)) return "invalid syntax";
  return Number(text) > 65_535 ? "value out of range" : undefined;
}
