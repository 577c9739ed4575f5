/** Where tests of BuildKit's protocol run: an engine, and the stock CLI with buildx 0.13. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before } from "node:test";
import { makeDockerConfig, type Ran, run } from "@gantry/testkit";
import { TestEngine, type TestEngineOptions } from "@gantry/testkit/test-engine";

type Variables = Readonly<Record<string, string>>;

/** The engine is there while tests run. */
export interface BuildxBed {
  readonly engine: TestEngine;
  /** Environment of the CLI. */
  readonly env: Variables;
  /** Runs the CLI in a folder, whatever comes out. @param more variables */
  readonly docker: (folder: string, args: readonly string[], more?: Variables) => Promise<Ran>;
  /** Builds a folder, whatever comes out. What buildx shows is on standard error. */
  readonly tryBuild: (folder: string, args?: readonly string[], more?: Variables) => Promise<Ran>;
  /** The same, which must succeed. @returns what buildx shows */
  readonly build: (folder: string, args?: readonly string[], more?: Variables) => Promise<string>;
}

interface BuildxBedOptions extends TestEngineOptions {
  /** The CLI has compose, too. */
  readonly compose?: boolean;
  /** More variables of the CLI. */
  readonly client?: Variables;
  /** Makes what the file's tests need of the engine. A hook of the file would not wait for the bed's. */
  readonly prepare?: (engine: TestEngine) => Promise<void>;
}

/** Sets a test file up. */
export function useBuildxBed(options: BuildxBedOptions = {}): BuildxBed {
  let opened: { readonly engine: TestEngine; readonly env: Variables } | undefined;
  const bed = () => {
    assert.ok(opened !== undefined);
    return opened;
  };
  before(async () => {
    const engine = await TestEngine.start(options);
    const config = await makeDockerConfig(path.join(engine.root, "docker"), [
      "buildx",
      ...(options.compose === true ? (["compose"] as const) : []),
    ]);
    opened = {
      engine,
      env: { ...engine.clientEnv(), DOCKER_CONFIG: config, ...options.client },
    };
    await options.prepare?.(engine);
  });
  after(async () => {
    await opened?.engine[Symbol.asyncDispose]();
  });
  const docker: BuildxBed["docker"] = async (folder, args, more = {}) =>
    await run(["docker", ...args], {
      ...{ cwd: folder, env: { ...bed().env, ...more }, timeoutMs: 180_000 },
    });
  const tryBuild: BuildxBed["tryBuild"] = async (folder, args = [], more = {}) =>
    await docker(folder, ["build", "--progress=plain", ...args, "."], more);
  return {
    get engine() {
      return bed().engine;
    },
    get env() {
      return bed().env;
    },
    docker,
    tryBuild,
    build: async (folder, args, more) => {
      const ran = await tryBuild(folder, args, more);
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stderr;
    },
  };
}
