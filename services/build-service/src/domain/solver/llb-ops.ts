/** Vertices as BuildKit's operations, in the JSON form that provenance has: zero values are left out. */
import { llbIndex, llbInputs } from "./llb-inputs.ts";
import { runMountsJson } from "./llb-mounts.ts";
import {
  type CopyOp,
  type FilesOp,
  type ImageOp,
  type InlineOp,
  type MakeDirectoryOp,
  type RunOp,
  type Vertex,
  vertexOf,
} from "./vertex.ts";

/** What of a build's request is part of its operations. */
export interface LlbOptions {
  /** `local`, `pull`. */
  readonly resolveMode: string;
  /** `name:address`. */
  readonly extraHosts: readonly string[];
  readonly ulimits: readonly {
    readonly name: string;
    readonly soft: number;
    readonly hard: number;
  }[];
  readonly cgroupParent: string;
  /** Names of the client's directory that is the main context. */
  readonly contextName: string;
  /** Paths that are taken of a context; empty: all. By its name, the main one's is empty. */
  readonly followPaths: ReadonlyMap<string, readonly string[]>;
  /** Patterns of what is left out of the main context. */
  readonly exclude: readonly string[];
}

/** An operation. `inputs` are steps by their digest. */
export interface LlbStep {
  /** `sha256:<hex>`; that of the vertex, but for those that a vertex is made of. */
  readonly digest: string;
  readonly op: object;
  readonly inputs: readonly string[];
}

const noTime = -1;
const anyMode = -1;

/** The operations of a vertex, the last one its result. None: it is empty. */
export function llbSteps(vertex: Vertex, options: LlbOptions): LlbStep[] {
  const { op } = vertex;
  switch (op.kind) {
    case "scratch":
      return [];
    case "image":
      return [one(vertex, imageSource(vertex, op, options), { platform: op.platform })];
    case "files":
      return [one(vertex, filesSource(op, options))];
    case "layer":
      return [one(vertex, { source: { identifier: `snapshot://${op.snapshot}` } })];
    case "inline":
      return [one(vertex, inlineFiles(op))];
    case "run":
      return [one(vertex, execOf(vertex, op, options), { platform: platformOf(vertex) })];
    case "mkdir":
      return [one(vertex, { file: { actions: [makeDirectory(vertex, op)] } })];
    case "copy":
      return op.link ? linkedCopy(vertex, op) : [one(vertex, { file: copyActions(vertex, op, 0) })];
  }
}

function one(
  vertex: Vertex,
  op: object,
  more: { readonly platform?: ImageOp["platform"] | undefined } = {},
): LlbStep {
  const { os, architecture, variant } = more.platform ?? {};
  const platform = more.platform && {
    Architecture: architecture,
    OS: os,
    ...(variant !== undefined && { Variant: variant }),
  };
  const inputs = llbInputs(vertex).map(({ digest }) => digest);
  return {
    digest: vertex.digest,
    op: { Op: op, ...(platform && { platform }), constraints: {} },
    inputs,
  };
}

/** A tree is for the platform of the image at its bottom. */
function platformOf(vertex: Vertex): ImageOp["platform"] | undefined {
  if (vertex.op.kind === "image") return vertex.op.platform;
  const [below] = vertex.inputs;
  return below && platformOf(below);
}

function imageSource(vertex: Vertex, op: ImageOp, { resolveMode }: LlbOptions): object {
  const identifier = `docker-image://${vertex.resolved || op.reference}`;
  return { source: { identifier, attrs: { "image.resolvemode": resolveMode } } };
}

function filesSource({ source, checksum, keepGitDir }: FilesOp, options: LlbOptions): object {
  const [kind = "", ...rest] = source.split(":");
  const name = rest.join(":");
  if (kind === "context") return { source: localSource(name, options) };
  const attrs = {
    ...(kind === "git" && { "git.fullurl": name }),
    ...(kind === "git" && keepGitDir && { "git.keepgitdir": "true" }),
    ...(checksum !== "" && { [kind === "git" ? "git.checksum" : "http.checksum"]: checksum }),
  };
  const identifier = kind === "git" ? `git://${name.replace(/^\w+:\/\//, "")}` : name;
  return { source: { identifier, ...(Object.keys(attrs).length > 0 && { attrs }) } };
}

function localSource(name: string, options: LlbOptions): object {
  const shown = name === "" ? options.contextName : name;
  const paths = options.followPaths.get(name) ?? [];
  const patterns = name === "" ? options.exclude : [];
  const attrs = {
    ...(patterns.length > 0 && { "local.excludepatterns": JSON.stringify(patterns) }),
    ...(paths.length > 0 && { "local.followpaths": JSON.stringify([...paths].sort()) }),
    "local.sharedkeyhint": shown,
  };
  return { identifier: `local://${shown}`, attrs };
}

function inlineFiles({ files }: InlineOp): object {
  const actions = files.map(({ name, content, isProgram }, index) => ({
    ...{ input: index - 1, secondaryInput: -1, output: index === files.length - 1 ? 0 : -1 },
    Action: {
      mkfile: {
        path: `/${name}`,
        mode: isProgram === true ? 0o755 : 0o644,
        data: Buffer.from(content).toString("base64"),
        timestamp: noTime,
      },
    },
  }));
  return { file: { actions } };
}

function makeDirectory(vertex: Vertex, { path, owner }: MakeDirectoryOp): object {
  return {
    ...{ input: llbIndex(vertex, 0), secondaryInput: -1, output: 0 },
    Action: {
      mkdir: {
        ...{ path, mode: 0o755, makeParents: true },
        ...(owner !== "" && owner !== "root" && { owner: ownerOf(owner) }),
        timestamp: noTime,
      },
    },
  };
}

/** What is copied goes into a tree of its own, which is laid over the one below. */
function linkedCopy(vertex: Vertex, op: CopyOp): LlbStep[] {
  const [below] = vertex.inputs;
  const isOver = below !== undefined && below.op.kind !== "scratch";
  const scratch = vertexOf({ kind: "scratch" }, [], { name: "scratch" });
  const alone = { ...vertex, inputs: [scratch, ...vertex.inputs.slice(1)] };
  const digest = isOver ? `${vertex.digest}/copied` : vertex.digest;
  const copied = { ...one(alone, { file: copyActions(alone, op, 0) }), digest };
  if (!isOver) return [copied];
  const merge = { Op: { merge: { inputs: [{}, { input: 1 }] } }, constraints: {} };
  return [copied, { digest: vertex.digest, op: merge, inputs: [below.digest, digest] }];
}

function copyActions(vertex: Vertex, op: CopyOp, below: number): object {
  const count = llbInputs(vertex).length;
  const actions = op.sources.map((source, index) => ({
    input: index === 0 ? llbIndex(vertex, below) : count + index - 1,
    secondaryInput: llbIndex(vertex, source.input),
    output: index === op.sources.length - 1 ? 0 : -1,
    Action: { copy: copyOf(vertex, op, source) },
  }));
  return { actions };
}

function copyOf(vertex: Vertex, op: CopyOp, source: CopyOp["sources"][number]): object {
  const isInline = vertex.inputs[source.input]?.op.kind === "inline";
  const src = `/${source.path.replace(/^\/+/, "")}`;
  return {
    ...(op.parents ? { src: "/", includePatterns: [src] } : { src }),
    dest: op.destination,
    ...(op.chown !== undefined && { owner: ownerOf(op.chown) }),
    mode: modeOf(op.chmod),
    ...(!isInline && { followSymlink: true, dirCopyContents: true }),
    ...(source.unpack && { attemptUnpackDockerCompatibility: true }),
    createDestPath: true,
    ...(!isInline && { allowWildcard: true, allowEmptyWildcard: true }),
    timestamp: noTime,
    ...(op.exclude.length > 0 && { exclude_patterns: op.exclude }),
    ...(op.chmod !== undefined && !isOctal(op.chmod) && { modeStr: op.chmod }),
  };
}

const isOctal = (mode: string): boolean => /^[0-7]+$/.test(mode);

function modeOf(chmod: string | undefined): number {
  return chmod !== undefined && isOctal(chmod) ? Number.parseInt(chmod, 8) : anyMode;
}

/** `user[:group]`, each a name or a number. */
function ownerOf(text: string): object {
  const [user = "", group = user] = text.split(":");
  return { user: idOf(user), group: idOf(group) };
}

function idOf(text: string): object {
  const User = /^\d+$/.test(text) ? { byId: Number(text) } : { byName: { name: text } };
  return { User };
}

function execOf(vertex: Vertex, op: RunOp, options: LlbOptions): object {
  const { extraHosts, ulimits, cgroupParent } = options;
  const agent = op.mounts.find(({ type }) => type === "ssh");
  const hasAgent = op.env.some((each) => each.startsWith("SSH_AUTH_SOCK="));
  const env = [
    ...op.env,
    ...(agent?.type === "ssh" && !hasAgent ? [`SSH_AUTH_SOCK=${agent.target}`] : []),
  ];
  const proxies = proxiesOf(op.proxyEnv);
  const meta = {
    args: op.args,
    env,
    cwd: op.cwd,
    ...(op.user !== "" && { user: op.user }),
    ...(Object.keys(proxies).length > 0 && { proxy_env: proxies }),
    ...(extraHosts.length > 0 && { extraHosts: extraHosts.map(hostOf) }),
    ...(op.hostname !== "" && { hostname: op.hostname }),
    ...(ulimits.length > 0 && {
      ulimit: ulimits.map(({ name: Name, soft: Soft, hard: Hard }) => ({ Name, Soft, Hard })),
    }),
    ...(cgroupParent !== "" && { cgroupParent }),
    removeMountStubsRecursive: true,
  };
  const network = ["", "host", "none"].indexOf(op.network);
  const secretenv = op.mounts.flatMap((mount) =>
    mount.type === "secret" && mount.env !== ""
      ? [{ ID: mount.id, name: mount.env, ...(!mount.required && { optional: true }) }]
      : [],
  );
  return {
    exec: {
      meta,
      mounts: runMountsJson(vertex, op),
      ...(network > 0 && { network }),
      ...(op.insecure && { security: 1 }),
      ...(secretenv.length > 0 && { secretenv }),
    },
  };
}

function hostOf(text: string): object {
  const colon = text.indexOf(":");
  return { Host: text.slice(0, colon), IP: text.slice(colon + 1) };
}

/** By the names that LLB has for them. */
function proxiesOf(variables: readonly string[]): object {
  const known = variables.flatMap((variable) => {
    const [, kind = "", value = ""] = /^(http|https|ftp|no|all)_proxy=(.*)$/is.exec(variable) ?? [];
    return kind === "" ? [] : [[`${kind.toLowerCase()}_proxy`, value]];
  });
  return Object.fromEntries(known) as object;
}
