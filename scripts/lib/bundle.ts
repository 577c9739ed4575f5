/** Bundles each service into one file: start-up time and resident memory are features here. */
import { existsSync, mkdirSync } from "node:fs";
import { builtinModules } from "node:module";
import path from "node:path";
import { build, type Plugin } from "esbuild";
import { inRoot } from "./repository.ts";

/** Programs of the engine, by the folder of their `src/main.ts`. Services in order of their start. */
const programs = [
  "services/image-service",
  "services/container-service",
  "services/api-gateway",
  "services/build-service",
  "services/shim",
  "packages/supervisor",
];

/** Folders of the programs that have a main. */
export const bundledPrograms = (): string[] =>
  programs.filter((folder) => existsSync(inRoot(folder, "src/main.ts")));

/** Path of a bundle, from the root. */
const bundlePath = (folder: string): string => `dist/${folder.split("/").at(-1) ?? ""}/main.mjs`;

/** Sources that a program starts as threads: bundled beside it, under their own names. */
const threads: Readonly<Record<string, readonly string[]>> = {
  "services/container-service": ["src/adapters/sqlite/writer-thread.ts"],
};

/** Paths of all that is bundled of a program, from the root. */
export const bundlePaths = (folder: string): string[] => [
  bundlePath(folder),
  ...(threads[folder] ?? []).map((source) => threadPath(folder, source)),
];

const threadPath = (folder: string, source: string): string =>
  `${path.dirname(bundlePath(folder))}/${path.basename(source, ".ts")}.mjs`;

/** CommonJS packages inside an ES module bundle ask for these. */
const commonJsNames = `import { createRequire as gantryCreateRequire } from "node:module";
const require = gantryCreateRequire(import.meta.url);
const __filename = import.meta.filename;
const __dirname = import.meta.dirname;`;

/** grpc-js loads these for features that we do not use: a quarter of a service's code. */
const unusedPackages = { "@grpc/proto-loader": inRoot("scripts/lib/no-proto-loader.cjs") };

/**
 * Node's own modules by getBuiltinModule: an ES import of node:http or node:net touches every export,
 * and so loads the fetch client and more, which nobody uses: 3 MiB and 15 ms in each service.
 */
const lazyBuiltins: Plugin = {
  name: "lazy-builtins",
  setup(builder) {
    const names = new Set(builtinModules);
    builder.onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path }) =>
      names.has(path) || path.startsWith("node:")
        ? { path: path.replace(/^(node:)?/, "node:"), namespace: "builtin" }
        : undefined,
    );
    builder.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
      loader: "js",
    }));
  },
};

/** Writes dist/<program>/main.mjs and the program's threads, with a source map beside each. */
export async function bundle(folder: string): Promise<void> {
  mkdirSync(inRoot("dist"), { recursive: true });
  await bundleFile(inRoot(folder, "src/main.ts"), inRoot(bundlePath(folder)));
  for (const source of threads[folder] ?? []) {
    await bundleFile(inRoot(folder, source), inRoot(threadPath(folder, source)));
  }
}

async function bundleFile(entry: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node26",
    banner: { js: commonJsNames },
    sourcemap: "linked",
    sourcesContent: false,
    legalComments: "none",
    // Half the source text to hold in memory; names and short lines stay, for stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 200,
    keepNames: true,
    alias: unusedPackages,
    plugins: [lazyBuiltins],
    logLevel: "warning",
  });
}
