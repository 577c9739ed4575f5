/** Instructions of a stage, one after the other, become vertices and config. Pure. */
import { BuildFailure } from "../build-failure.ts";
import { expandWord } from "../dockerfile/expand.ts";
import { goQuote } from "../dockerfile/go-quote.ts";
import type {
  ArgInstruction,
  CopyInstruction,
  Instruction,
  RunInstruction,
  TextInstruction,
} from "../dockerfile/instruction.ts";
import { type CopySource, type Op, type Vertex, vertexOf } from "../solver/vertex.ts";
import { changeConfig } from "./config-instructions.ts";
import { type DispatchContext, Inputs } from "./dispatch-context.ts";
import { classicCopy } from "./history-texts.ts";
import { parseMount } from "./mounts.ts";
import { runCommand, shownRun } from "./run-command.ts";
import { runMounts } from "./run-mounts.ts";
import { shownStep } from "./shown-step.ts";
import {
  joinPath,
  lookupIn,
  runEnvironment,
  type StageState,
  withConfig,
  withHistory,
} from "./stage-state.ts";

/** The state after an instruction. Throws BuildFailure. */
export function dispatch(
  state: StageState,
  instruction: Instruction,
  context: DispatchContext,
): StageState {
  try {
    return dispatchOne(state, instruction, context);
  } catch (error) {
    if (error instanceof BuildFailure && error.lines !== undefined) throw error;
    if (!(error instanceof Error)) throw error;
    throw new BuildFailure(error.message, instruction.lines, { cause: error });
  }
}

function dispatchOne(
  state: StageState,
  instruction: Instruction,
  context: DispatchContext,
): StageState {
  switch (instruction.kind) {
    case "FROM":
      throw new BuildFailure("FROM isn't allowed here");
    case "RUN":
      return run(state, instruction, context);
    case "COPY":
    case "ADD":
      return copy(state, instruction, context);
    case "ARG":
      return declare(state, instruction, context);
    case "WORKDIR":
      return workdir(state, instruction, context);
    default: {
      const change = changeConfig(state, instruction, lookupIn(state), context);
      if (change === undefined) throw new BuildFailure(`${instruction.kind} is not supported`);
      if (instruction.kind === "ONBUILD" && context.style === "buildkit") return change.state;
      return record(change.state, change.text, "config", context, true);
    }
  }
}

function record(
  state: StageState,
  text: string,
  kind: "run" | "copy" | "config",
  context: DispatchContext,
  empty: boolean,
): StageState {
  return withHistory(state, {
    created_by: context.created(text, kind, state),
    ...(context.comment !== "" && { comment: context.comment }),
    ...(state.document.author !== undefined && { author: state.document.author }),
    ...(empty && { empty_layer: true }),
  });
}

function declare(
  state: StageState,
  instruction: ArgInstruction,
  context: DispatchContext,
): StageState {
  let next = state;
  const texts: string[] = [];
  for (const { name, defaultValue } of instruction.args) {
    const expanded =
      defaultValue === undefined
        ? undefined
        : expandWord(defaultValue, lookupIn(next), { escape: context.escape }).text;
    const value =
      context.buildArgs.get(name) ?? expanded ?? context.globalArgs.get(name) ?? undefined;
    next = withArgument(next, name, value, context);
    // The classic builder writes what the Dockerfile says.
    const shown = context.style === "classic" ? expanded : value;
    texts.push(shown === undefined ? name : `${name}=${shown}`);
  }
  return record(next, `ARG ${texts.join(" ")}`, "config", context, true);
}

/** BuildKit takes what was said last, the classic builder ENV before ARG. */
function withArgument(
  state: StageState,
  name: string,
  value: string | undefined,
  { style }: DispatchContext,
): StageState {
  const args = new Map(state.args).set(name, value);
  const hides = style === "buildkit" && value !== undefined && lookupIn(state)(name) !== undefined;
  return { ...state, args, hiding: hides ? new Set(state.hiding).add(name) : state.hiding };
}

function workdir(
  state: StageState,
  instruction: TextInstruction,
  context: DispatchContext,
): StageState {
  const { escape } = context;
  const given = expandWord(instruction.text, lookupIn(state), { escape }).text;
  if (given === "" && context.style === "classic")
    throw new BuildFailure("cannot normalize nothing");
  const WorkingDir = joinPath(state.document.config.WorkingDir || "/", given);
  const next = withConfig(state, { WorkingDir });
  if (WorkingDir === "/") return record(next, `WORKDIR ${WorkingDir}`, "copy", context, true);
  // The classic builder makes it for root, whoever the user is.
  const owner = context.style === "classic" ? "" : (state.document.config.User ?? "");
  const op: Op = { kind: "mkdir", path: WorkingDir, owner };
  const name = shownStep(state, instruction, escape);
  const tree = step(state, instruction, context, op, [], name);
  const shown = context.style === "buildkit" && given.startsWith("/") ? given : WorkingDir;
  return record({ ...next, tree }, `WORKDIR ${shown}`, "copy", context, false);
}

function step(
  state: StageState,
  instruction: Instruction,
  context: DispatchContext,
  op: Op,
  inputs: readonly Vertex[],
  text: string,
): Vertex {
  return vertexOf(op, [state.tree, ...inputs], {
    name: context.stepName(text, state),
    lines: instruction.lines,
    ignoreCache: context.ignoreCache,
  });
}

/** What expands to nothing is not given. */
function expandedFlags(
  { chown = "", chmod = "", checksum = "" }: CopyInstruction,
  expand: (word: string) => string,
) {
  const mode = expand(chmod);
  return {
    chown: expand(chown) || undefined,
    chmod: mode === "" ? undefined : checkedMode(mode),
    checksum: expand(checksum) || undefined,
  };
}

function copy(state: StageState, given: CopyInstruction, context: DispatchContext): StageState {
  const { kind } = given;
  // The classic builder passes heredocs over.
  const heredocs = context.style === "classic" ? [] : given.heredocs;
  if (heredocs.length === 0 && given.sources.length === 0)
    throw new BuildFailure(`${kind} failed: no source files were specified`);
  const lookup = lookupIn(state);
  const expand = (word: string): string =>
    expandWord(word, lookup, { escape: context.escape }).text;
  const { chown, chmod, checksum } = expandedFlags(given, expand);
  if (context.style === "classic" && chmod !== undefined && chmod !== "") refuseFlag("chmod");
  const instruction = { ...given, checksum };
  const destination = destinationOf(state, expand(instruction.destination));
  const inputs = new Inputs();
  const paths = instruction.sources.map(expand);
  const files = heredocs.map(({ name, content, expand: expands }) => ({
    name,
    content: expands ? expandWord(content, lookup, { noQuotes: true }).text : content,
  }));
  const name = context.stepName(shownStep(state, instruction, context.escape), state);
  if (instruction.checksum !== undefined && paths.length !== 1 && context.style === "buildkit")
    throw new BuildFailure("checksum can't be specified for multiple sources");
  const sources: CopySource[] = paths.map((path) =>
    sourceOf(path, { instruction, name }, context, inputs),
  );
  for (const file of files) {
    const vertex = vertexOf({ kind: "inline", files: [file] }, [], {
      name: "[internal] preparing inline document",
      lines: instruction.lines,
    });
    sources.push({ input: inputs.add(vertex), path: file.name, unpack: false });
  }
  const op: Op = {
    kind: "copy",
    sources,
    destination,
    chown,
    chmod,
    keepOwner: instruction.from !== undefined,
    parents: instruction.parents,
    exclude: instruction.exclude.map(expand),
    link: instruction.link,
    ...(context.style === "classic" && { classic: true }),
  };
  if (context.style === "classic" && instruction.from === undefined) refuseOutside(paths, kind);
  const shown = [...paths, ...files.map(({ name }) => `<<${name}`)].join(" ");
  const flags = copyFlags(instruction, chown, chmod);
  const text = `${kind} ${flags}${shown} ${expand(instruction.destination)}`;
  const tree = vertexOf(op, [state.tree, ...inputs.list], {
    ...{ name, lines: instruction.lines, ignoreCache: context.ignoreCache },
  });
  const told =
    context.style === "buildkit" ? text : classicCopy(kind, chown, expand(instruction.destination));
  return record({ ...state, tree }, told, "copy", context, false);
}

/** BuildKit takes what climbs out as if the context were the root. */
function refuseOutside(paths: readonly string[], kind: "COPY" | "ADD"): void {
  const outside = paths.find((each) => isOutside(each));
  if (outside === undefined) return;
  throw new BuildFailure(`${kind} failed: forbidden path outside the build context: ${outside} ()`);
}

function isOutside(path: string): boolean {
  let depth = 0;
  for (const segment of path.split("/")) {
    if (segment === "..") depth -= 1;
    else if (segment !== "" && segment !== ".") depth += 1;
    if (depth < 0) return !path.includes("://");
  }
  return false;
}

/** Those that history tells of: what a flag takes from elsewhere, or how it does, it leaves out. */
function copyFlags(
  { parents }: CopyInstruction,
  chown: string | undefined,
  chmod: string | undefined,
): string {
  const flags = [
    ...(chown === undefined ? [] : [`--chown=${chown}`]),
    ...(chmod === undefined ? [] : [`--chmod=${chmod}`]),
    ...(parents ? ["--parents"] : []),
  ];
  return flags.map((flag) => `${flag} `).join("");
}

function destinationOf(state: StageState, given: string): string {
  const path = joinPath(state.document.config.WorkingDir || "/", given);
  const isDirectory = /(?:^|\/)\.{0,2}$/.test(given);
  return isDirectory && path !== "/" ? `${path}/` : path;
}

const symbolicClause = "[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+";
const symbolicMode = new RegExp(`^${symbolicClause}(?:,${symbolicClause})*$`);

function checkedMode(mode: string): string {
  const isOctal = /^[0-7]+$/.test(mode);
  if (isOctal ? Number.parseInt(mode, 8) <= 0o7777 : symbolicMode.test(mode)) return mode;
  if (!/^\d/.test(mode)) throw new BuildFailure("invalid syntax");
  throw new BuildFailure(
    `invalid chmod parameter: '${mode}'. it should be octal string and between 0 and 07777`,
  );
}

/** An instruction and what its step is called. */
interface NamedCopy {
  readonly instruction: CopyInstruction;
  readonly name: string;
}

function sourceOf(
  path: string,
  { instruction, name }: NamedCopy,
  context: DispatchContext,
  inputs: Inputs,
): CopySource {
  const isAdd = instruction.kind === "ADD";
  if (isAdd && isGit(path)) {
    const input = inputs.add(downloaded("git", path, { instruction, name }));
    return { input, path: "/", unpack: false };
  }
  if (isAdd && /^https?:\/\//.test(path)) {
    const input = inputs.add(downloaded("http", path, { instruction, name }));
    return { input, path: "*", unpack: instruction.unpack ?? false, name: downloadName(path) };
  }
  if (isGit(path) || /^https?:\/\//.test(path)) {
    throw new BuildFailure("source can't be a URL for COPY");
  }
  // The classic builder passes it over.
  if (instruction.checksum !== undefined && context.style === "buildkit") {
    throw new BuildFailure("checksum requires HTTP(S) or Git sources");
  }
  const tree = instruction.from === undefined ? context.context() : context.from(instruction.from);
  const inside = /(?:^|\/)\.\.(?:\/|$)/.test(path) ? joinPath("/", path) : path;
  return { input: inputs.add(tree), path: inside, unpack: isAdd && (instruction.unpack ?? true) };
}

function downloaded(scheme: "git" | "http", url: string, { instruction, name }: NamedCopy): Vertex {
  const { checksum = "", keepGitDir } = instruction;
  if (scheme === "http" && checksum !== "") refuseDigest(checksum);
  const source = `${scheme}:${url}`;
  // It is displayed as the step itself, and no place is told of it.
  return vertexOf({ kind: "files", source, checksum, keepGitDir }, [], { name });
}

/** In the words of Go's package digest. */
function refuseDigest(checksum: string): void {
  const [, algorithm, hex = ""] = /^([a-z0-9]+):([a-zA-Z0-9=_-]+)$/.exec(checksum) ?? [];
  if (algorithm === undefined) throw new BuildFailure("invalid checksum digest format");
  const digits = new Map([
    ["sha256", 64],
    ["sha384", 96],
    ["sha512", 128],
  ]).get(algorithm);
  if (digits === undefined) throw new BuildFailure("unsupported digest algorithm");
  if (hex.length !== digits) throw new BuildFailure("invalid checksum digest length");
  if (algorithm !== "sha256" || !/^[0-9a-f]+$/.test(hex))
    throw new BuildFailure("invalid checksum digest format");
}

/** Whether a URL is that of a git repository. */
export function isGit(text: string): boolean {
  if (/^(?:git:\/\/|ssh:\/\/|git@[^/]+:)/.test(text)) return true;
  return /^https?:\/\/[^?#]+\.git(?:[?#].*)?$/.test(text);
}

function downloadName(url: string): string {
  const path = new URL(url).pathname.replace(/\/+$/, "");
  const name = decodeURIComponent(path.split("/").at(-1) ?? "");
  return name === "" || name === "." || name === ".." || name.includes("/") ? "__unnamed__" : name;
}

function run(state: StageState, instruction: RunInstruction, context: DispatchContext): StageState {
  const { config } = state.document;
  const flag = /^\S+\s+--([\w-]+)/.exec(instruction.original)?.[1];
  if (context.style === "classic" && flag !== undefined) {
    for (const mount of instruction.mounts) parseMount(mount, (word) => word);
    refuseFlag(flag);
  }
  const { security = "sandbox", network = context.networkMode } = instruction;
  if (security !== "sandbox" && security !== "insecure") {
    throw new BuildFailure(`security ${goQuote(security)} is not valid`);
  }
  if (instruction.hasDevice)
    throw new BuildFailure(
      "device feature is only supported in Dockerfile frontend 1.14.0-labs or later",
    );
  const inputs = new Inputs();
  const mounts = runMounts(state, instruction, context, inputs);
  const { args, text } = runCommand(state, instruction, inputs, mounts, context.style);
  const op: Op = {
    kind: "run",
    args,
    env: runEnvironment(state),
    cwd: config.WorkingDir || "/",
    user: config.User ?? "",
    network: network === "default" ? "" : network,
    hostname: context.hostname,
    insecure: security === "insecure",
    mounts,
    proxyEnv: context.proxyEnv,
    volumes: context.style === "classic" ? Object.keys(config.Volumes ?? {}).sort() : [],
  };
  const shown = shownRun(state, instruction, context.escape);
  const tree = step(state, instruction, context, op, inputs.list, shown);
  return record({ ...state, tree }, text, "run", context, false);
}

/** Docker's classic builder has it in its grammar, and does not do it. */
function refuseFlag(name: string): never {
  throw new BuildFailure(
    `the --${name} option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled`,
  );
}
