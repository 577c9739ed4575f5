/**
 * Other makers and readers of images (Debian's skopeo, umoci, podman, mmdebstrap), unpacked with the
 * libraries they need and never installed: a test's word on our images must not be our own.
 */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { debianCacheDir, installedBy, unpackDebianPackage } from "./debian.ts";
import { cleanEnvironment, mustRun, type Ran, type RunOptions } from "./run.ts";

/** Debian packages of each, the tool's own first. */
const packages = {
  skopeo: ["skopeo"],
  umoci: ["umoci"],
  // That of Debian 13 does not start without.
  podman: ["podman", "netavark"],
  mmdebstrap: ["mmdebstrap"],
} as const;

export type ForeignTool = keyof typeof packages;

/** How to run one. */
export interface FoundTool {
  readonly program: string;
  /** Finds its libraries and helpers. */
  readonly env: Readonly<Record<string, string>>;
}

const found = new Map<ForeignTool, Promise<FoundTool>>();

async function foreignTool(name: ForeignTool): Promise<FoundTool> {
  let finding = found.get(name);
  if (finding === undefined) {
    finding = findTool(name);
    found.set(name, finding);
  }
  return await finding;
}

/** Unpacks a tool, once per machine, with what it depends on and the machine does not have. */
async function findTool(name: ForeignTool): Promise<FoundTool> {
  const roots: string[] = [];
  for (const each of await missingPackages(packages[name]))
    roots.push(await unpackDebianPackage(each));
  const triplet = (await mustRun(["gcc", "-dumpmachine"])).stdout.trim();
  const folders = roots.flatMap((root) =>
    [`usr/lib/${triplet}`, `lib/${triplet}`].map((folder) => path.join(root, folder)),
  );
  const env = cleanEnvironment();
  const programs = ["/", ...roots].map((root) => path.join(root, "usr/bin"));
  const program = programs.map((folder) => path.join(folder, name)).find(existsSync);
  if (program === undefined) throw new Error(`${name} is neither installed nor in its package`);
  return {
    program,
    env: {
      ...env,
      ...(folders.length > 0 && { LD_LIBRARY_PATH: folders.join(":") }),
      PATH: [...programs, env["PATH"]].join(":"),
      ...(name === "podman" && { CONTAINERS_CONF: await podmanHelpers(roots) }),
    },
  };
}

/** A configuration that names the folders of podman's own helpers. */
async function podmanHelpers(roots: readonly string[]): Promise<string> {
  const folders = ["/", ...roots].map((root) => path.join(root, "usr/lib/podman"));
  const file = path.join(debianCacheDir, "containers.conf");
  await mkdir(debianCacheDir, { recursive: true });
  await writeFile(file, `[engine]\nhelper_binaries_dir = ${JSON.stringify(folders)}\n`);
  return file;
}

/** What would be installed with these on this machine. */
async function missingPackages(names: readonly string[]): Promise<string[]> {
  const simulate = ["apt-get", "-qq", "--simulate", "--no-install-recommends", "install"];
  return installedBy((await mustRun([...simulate, ...names])).stdout);
}

/** A signature policy that takes everything: tests' images are signed by nobody. */
export async function anySignaturePolicy(): Promise<string> {
  const file = path.join(debianCacheDir, "policy.json");
  await mkdir(debianCacheDir, { recursive: true });
  await writeFile(file, '{"default":[{"type":"insecureAcceptAnything"}]}\n');
  return file;
}

/** Runs a tool to its end; a failure is an error. Returns its standard output. */
export async function runTool(
  name: ForeignTool,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return (await startTool(name, args, options)).stdout;
}

async function startTool(
  name: ForeignTool,
  args: readonly string[],
  options: RunOptions,
): Promise<Ran> {
  const { program, env } = await foreignTool(name);
  const policy = await anySignaturePolicy();
  const before: Readonly<Record<ForeignTool, readonly string[]>> = {
    skopeo: ["--policy", policy],
    umoci: [],
    podman: [],
    mmdebstrap: [],
  };
  return mustRun([program, ...before[name], ...args], {
    ...options,
    env: { ...env, ...options.env },
  });
}
