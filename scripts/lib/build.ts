/** The whole build, step by step; a step whose inputs have not changed is skipped. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { bundle, bundledPrograms, bundlePaths } from "./bundle.ts";
import { mustRun, runCommand } from "./command.ts";
import { makeHelloWorldArchive } from "./hello-world.ts";
import { inRoot, node, nodeDir, npmProgram } from "./repository.ts";
import { type BuildStep, runIfStale } from "./stale.ts";

const generate: BuildStep = {
  name: "proto",
  inputs: [
    "proto/**/*.proto",
    "buf.yaml",
    "buf.gen.yaml",
    "packages/errors/src/kinds.ts",
    "scripts/generate.ts",
    "scripts/lib/errors-doc.ts",
  ],
  outputs: ["packages/proto/src/gen/registry.ts", "docs/errors.md"],
  run: () => mustRun([node, "scripts/generate.ts"]),
};

const programs: BuildStep = {
  name: "native-programs",
  inputs: ["native/Makefile", "native/src/**"],
  outputs: ["native/build/hello", "native/build/shim", "native/build/unpack"],
  run: () => mustRun(["make", "-C", "native"], { quiet: true }),
};

/** The unpack program that turns against us once its sandbox is up: only tests run it. */
const attackPrograms: BuildStep = {
  name: "native-attack-programs",
  inputs: [
    "native/Makefile",
    "native/src/unpack/**",
    "native/src/kernel/**",
    "native/test/attack/**",
  ],
  outputs: ["native/build-attack/unpack"],
  run: () => mustRun(["make", "-C", "native", "attack"], { quiet: true }),
};

const sanitizedInputs = ["native/Makefile", "native/src/**"];

/** All programs with sanitizers. */
const sanitizedPrograms: BuildStep = {
  name: "native-sanitized-programs",
  inputs: sanitizedInputs,
  outputs: ["native/build-asan/unpack", "native/build-asan/shim"],
  run: () => mustRun(["make", "-C", "native", "asan"], { quiet: true }),
};

/** The shim alone with sanitizers, for the sample that every test run has. */
const sanitizedShim: BuildStep = {
  name: "native-sanitized-shim",
  inputs: sanitizedInputs,
  outputs: ["native/build-asan/shim"],
  run: () => mustRun(["make", "-C", "native", "asan-shim"], { quiet: true }),
};

/** libFuzzer comes with clang only; the tests say by name what they could not run without it. */
const fuzzTargets: BuildStep = {
  name: "native-fuzz-targets",
  inputs: [...sanitizedInputs, "native/fuzz/**"],
  outputs: ["native/build-fuzz/decoder"],
  run: () => mustRun(["make", "-C", "native", "fuzz"], { quiet: true }),
};

/** A clang alone has no runtime of the fuzzer: whether a target can be linked is tried. */
async function hasFuzzer(): Promise<boolean> {
  const target =
    'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }';
  const link = `echo '${target}' | $(command -v clang++ || command -v clang++-14) -fsanitize=fuzzer,address -x c++ -o /dev/null - 2>/dev/null`;
  return (await runCommand(["sh", "-c", link], { quiet: true })) === 0;
}

const addon: BuildStep = {
  name: "native-addon",
  inputs: ["native/binding.gyp", "native/src/**", "node_modules/node-addon-api/package.json"],
  outputs: ["native/build/Release/gantry.node"],
  // Headers come with the pinned Node's own package: nothing is downloaded.
  run: () =>
    mustRun(
      [npmProgram("node-gyp"), "configure", "build", "-C", "native", `--nodedir=${nodeDir}`],
      {
        quiet: true,
      },
    ),
};

const helloWorld: BuildStep = {
  name: "hello-world-image",
  inputs: [
    "native/build/hello",
    "scripts/lib/hello-world.ts",
    "packages/testkit/src/image-maker.ts",
  ],
  outputs: ["dist/hello-world.tar"],
  run: async () => {
    mkdirSync(inRoot("dist"), { recursive: true });
    writeFileSync(inRoot("dist/hello-world.tar"), await makeHelloWorldArchive());
  },
};

function bundles(): BuildStep {
  const folders = bundledPrograms();
  return {
    name: "bundles",
    inputs: [
      "packages/*/src/**/*.{ts,js}",
      "services/*/src/**/*.{ts,json}",
      "native/lib/**",
      "package-lock.json",
      "scripts/lib/bundle.ts",
    ],
    outputs: folders.flatMap(bundlePaths),
    run: async () => {
      for (const folder of folders) await bundle(folder);
    },
  };
}

/** Generates code from proto/ where that has changed. */
export async function buildProto(): Promise<void> {
  await runIfStale(generate);
}

/** Brings everything that runs up to date. */
export async function buildAll(): Promise<void> {
  await buildProto();
  await runIfStale(programs);
  await runIfStale(addon);
  await runIfStale(helloWorld);
  await runIfStale(bundles());
}

/** Builds what only tests need. */
export async function buildForTests(options: { readonly deep?: boolean } = {}): Promise<void> {
  await buildAll();
  await runIfStale(attackPrograms);
  if (await hasFuzzer()) await runIfStale(fuzzTargets);
  // Tests take what programs there are: those that a deep run has made must not be older than the source.
  const hasAll = sanitizedPrograms.outputs.every((file) => existsSync(inRoot(file)));
  await runIfStale(options.deep === true || hasAll ? sanitizedPrograms : sanitizedShim);
}
