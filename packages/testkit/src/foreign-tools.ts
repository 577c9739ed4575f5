/**
 * Other makers and readers of images (Debian's skopeo, umoci, podman, mmdebstrap), unpacked with the
 * libraries they need and never installed: a test's word on our images must not be our own.
 */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { debianCacheDir, unpackDebianPackage } from "./debian.ts";
import { cleanEnvironment, mustRun, type Ran, type RunOptions } from "./run.ts";

/** Programs with the packages of libraries that a machine need not have. */
const tools = {
  skopeo: {
    program: "usr/bin/skopeo",
    libraries: ["libgpgme11", "libassuan0", "libgpg-error0", "libdevmapper1.02.1"],
  },
  umoci: { program: "usr/bin/umoci", libraries: [] },
  podman: {
    program: "usr/bin/podman",
    libraries: [
      "libgpgme11",
      "libassuan0",
      "libgpg-error0",
      "libdevmapper1.02.1",
      "libsubid4",
      "conmon",
      "crun",
    ],
  },
  mmdebstrap: { program: "usr/bin/mmdebstrap", libraries: [] },
} as const;

export type ForeignTool = keyof typeof tools;

/** How to run one. */
export interface FoundTool {
  readonly program: string;
  /** Finds its libraries and helpers. */
  readonly env: Readonly<Record<string, string>>;
}

/** Unpacks a tool, once per machine. */
async function foreignTool(name: ForeignTool): Promise<FoundTool> {
  const { program, libraries } = tools[name];
  const own = await unpackDebianPackage(name);
  const roots: string[] = [];
  for (const each of libraries) roots.push(await unpackDebianPackage(each));
  const triplet = (await mustRun(["gcc", "-dumpmachine"])).stdout.trim();
  const folders = roots.flatMap((root) =>
    [`usr/lib/${triplet}`, `lib/${triplet}`].map((folder) => path.join(root, folder)),
  );
  const env = cleanEnvironment();
  const programs = roots.map((root) => path.join(root, "usr/bin"));
  return {
    program: path.join(own, program),
    env: {
      ...env,
      ...(folders.length > 0 && { LD_LIBRARY_PATH: folders.join(":") }),
      PATH: [...programs, env["PATH"]].join(":"),
    },
  };
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
