/** Docker's classic builder under test: the stock CLI without BuildKit, and archives sent to `POST /build`. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { mustRun, type Ran, type RunOptions } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { type Answer, ask } from "./http.ts";

export class ClassicBuilds implements AsyncDisposable {
  readonly engine: TestEngine;
  /** Outside of the engine's own folders. */
  readonly scratch: string;

  private constructor(engine: TestEngine, scratch: string) {
    this.engine = engine;
    this.scratch = scratch;
  }

  /** Starts an engine with the image `busybox`. */
  static async start(): Promise<ClassicBuilds> {
    const engine = await TestEngine.start();
    return new ClassicBuilds(engine, await mkdtemp(path.join(tmpdir(), "build-classic-")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.scratch, { recursive: true, force: true });
    await this.engine[Symbol.asyncDispose]();
  }

  /** Makes a context folder of text files. */
  async context(files: Readonly<Record<string, string>>): Promise<string> {
    const folder = await mkdtemp(path.join(this.scratch, "context-"));
    for (const [name, content] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
      await writeFile(path.join(folder, name), content);
    }
    return folder;
  }

  /** `docker build` without BuildKit. */
  async tryBuild(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const env = { ...this.engine.clientEnv(), DOCKER_BUILDKIT: "0" };
    return await this.engine.tryDocker(["build", ...args], { env, ...options });
  }

  /** The same, which must succeed. @returns its standard output */
  async build(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const ran = await this.tryBuild(args, options);
    assert.equal(ran.code, 0, `${ran.stdout}\n${ran.stderr}`);
    return ran.stdout;
  }

  /** Sends a context to `POST /build`. */
  async post(query: string, body: Uint8Array): Promise<Answer> {
    return await ask(this.engine, {
      ...{ method: "POST", path: `/build?${query}`, body },
      headers: { "content-type": "application/x-tar" },
    });
  }

  /** What a build may leave behind: containers of any kind, mounts, scratch files. */
  async traces(): Promise<string[]> {
    const mounts = (await readFile("/proc/self/mountinfo", "utf8"))
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((target) => target.startsWith(this.engine.root));
    const list = (folder: string): Promise<string[]> =>
      readdir(path.join(this.engine.dataRoot, folder)).catch(() => []);
    const scratchFiles = await list("build-service/scratch");
    const folders = await list("container-service/containers");
    return [...mounts, ...scratchFiles, ...folders];
  }

  /** What an earlier build has left to be tidied up may go meanwhile, and nothing else comes. */
  async nothingNew(before: readonly string[]): Promise<void> {
    await untilPasses(async () => {
      const added = (await this.traces()).filter((each) => !before.includes(each));
      assert.deepEqual(added, []);
    });
  }
}

/** A folder as an archive. @param args of tar: what of it */
export async function tarOf(folder: string, args: readonly string[] = ["."]): Promise<Buffer> {
  const command = 'tar -cf - -C "$0" "$@" | base64 -w0';
  const tar = await mustRun(["sh", "-c", command, folder, ...args]);
  return Buffer.from(tar.stdout, "base64");
}
