/** A whole engine of its own for a test file: services, NATS and supervisor below private roots. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { hasErrno } from "@gantry/errors";
import { makeBusyboxArchive } from "./busybox.ts";
import type { EngineRoots } from "./engine-roots.ts";
import { openEngineRoots } from "./engine-roots.ts";
import { eventually } from "./eventually.ts";
import { findHolders } from "./holders.ts";
import { findLeaks } from "./leaks.ts";
import type { Ran, RunOptions } from "./run.ts";
import { cleanEnvironment, mustRun, run } from "./run.ts";
import { untilPasses } from "./until-passes.ts";

/** The repository's root. */
export const repository = path.dirname(
  path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url)))),
);

/** Services that the supervisor runs. */
export type ServiceName =
  | "api-gateway"
  | "build-service"
  | "container-service"
  | "image-service"
  | "nats-server"
  | "supervisor";

/** A machine that is busy with other things may take its time. */
const startDeadline = { timeoutMs: 60_000 };

/** Options of {@link TestEngine.start}. */
export interface TestEngineOptions {
  /** Contents of daemon.json. */
  readonly daemonJson?: Readonly<Record<string, unknown>>;
  /** Load the busybox image. Default true. */
  readonly busybox?: boolean;
  /** More variables, for example GANTRY_DATA_ROOT on a file system of the test's own. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A running engine; disposing it stops it and fails when anything is left on the machine. */
export class TestEngine implements AsyncDisposable {
  readonly root: string;
  readonly runRoot: string;
  readonly dataRoot: string;
  readonly dockerHost: string;
  /** Its containers' cgroups are below. */
  readonly cgroupParent: string;
  /** First letters of the names of its network links. */
  readonly linkPrefix: string;
  private readonly env: Record<string, string>;
  private readonly roots: EngineRoots;

  private constructor(roots: EngineRoots) {
    this.roots = roots;
    this.root = roots.path;
    this.runRoot = roots.config.runRoot;
    this.dataRoot = roots.config.dataRoot;
    this.dockerHost = `unix://${roots.config.dockerSocket}`;
    this.linkPrefix = roots.config.linkPrefix;
    this.cgroupParent = roots.config.cgroupParent;
    this.env = roots.env;
  }

  /** Starts an engine and resolves when it answers. */
  static async start(options: TestEngineOptions = {}): Promise<TestEngine> {
    const engine = new TestEngine(
      await openEngineRoots({
        daemon: options.daemonJson ?? {},
        ...(options.env === undefined ? {} : { env: options.env }),
      }),
    );
    try {
      await engine.startSupervisor();
      if (options.busybox ?? true)
        await engine.docker(["load"], { input: await makeBusyboxArchive() });
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  /** Starts the supervisor (again) and resolves when the API answers. */
  async startSupervisor(): Promise<void> {
    const log = path.join(this.root, "supervisor.log");
    const child = spawn(
      "sh",
      [
        "-c",
        `exec "${process.execPath}" "${path.join(repository, "dist/supervisor/main.mjs")}" >>"${log}" 2>&1`,
      ],
      {
        env: this.env,
        detached: true,
        stdio: "ignore",
      },
    );
    await once(child, "spawn");
    child.unref();
    // An earlier supervisor's services may still answer while this one replaces them.
    const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
    const isReady = await eventually(async () => {
      const lines = (await readFile(log, "utf8")).split("\n");
      const own = lines.filter((line) => line.includes(`"pid":${String(child.pid)},`));
      if (own.some((line) => line.includes("engine is ready"))) return { ready: true };
      const failure = `the supervisor is not ready:\n${lines.slice(-10).join("\n")}`;
      if (ended()) return { ready: false, failure };
      throw new Error(failure);
    }, startDeadline);
    if (!isReady.ready) throw new Error(isReady.failure);
    await this.ready();
  }

  /** Resolves when every endpoint group answers. */
  async ready(): Promise<void> {
    await untilPasses(async () => {
      for (const command of [["info"], ["ps"], ["images"]]) {
        const ran = await run(["docker", ...command], { env: this.clientEnv() });
        if (ran.code !== 0)
          throw new Error(`docker ${command.join(" ")}: ${ran.stderr}${await this.logTail()}`);
      }
    }, startDeadline);
  }

  /** Environment of a client of this engine. What it keeps, and what it leaves when killed, is below the roots. */
  clientEnv(): Record<string, string> {
    return cleanEnvironment({ DOCKER_HOST: this.dockerHost, HOME: this.root, TMPDIR: this.root });
  }

  /** Runs the stock CLI; a failure is an error. Returns standard output without the last newline. */
  async docker(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return (
      await mustRun(["docker", ...args], { env: this.clientEnv(), ...options })
    ).stdout.replace(/\n$/, "");
  }

  /** Runs the stock CLI whatever comes out. */
  async tryDocker(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return await run(["docker", ...args], { env: this.clientEnv(), ...options });
  }

  /** Names of what the engine makes in the kernel: first letters of its links, its nft table. */
  get kernelNames(): { readonly linkPrefix: string; readonly nftTable: string } {
    const { linkPrefix, nftTable } = this.roots.config;
    return { linkPrefix, nftTable };
  }

  /** PIDs of one of the engine's programs. */
  async pidsOf(service: ServiceName): Promise<number[]> {
    const own = findHolders(this.root, this.runRoot, this.dataRoot).map(({ pid }) => pid);
    const named = own.map(async (pid) => ({ pid, command: await commandLine(pid) }));
    return (await Promise.all(named))
      .filter(({ command }) => command.includes(service))
      .map(({ pid }) => pid);
  }

  /** kill -9 of a program, then waits until the process is gone. */
  async kill9(service: ServiceName): Promise<void> {
    const pids = await this.pidsOf(service);
    if (pids.length === 0) throw new Error(`${service} does not run`);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await untilPasses(() => {
      for (const pid of pids)
        if (existsSync(`/proc/${String(pid)}/root`))
          throw new Error(`${service} (${String(pid)}) is still there`);
    });
  }

  /** Stops the engine as `npm stop` does. */
  async stop(): Promise<void> {
    await mustRun([process.execPath, path.join(repository, "scripts/stop.ts")], {
      env: this.env,
      cwd: repository,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    const { cgroupParent, linkPrefix, nftTable } = this.roots.config;
    const left = await findLeaks({ root: this.root, cgroupParent, linkPrefix, nftTable });
    if (left.length > 0) throw new Error(`the engine left behind:\n${left.join("\n")}`);
    await this.roots.close();
  }

  /** The last lines of the services' logs, for messages. */
  private async logTail(): Promise<string> {
    const log = path.join(this.root, "supervisor.log");
    return existsSync(log) ? `\n${(await readFile(log, "utf8")).slice(-3000)}` : "";
  }
}

async function commandLine(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${String(pid)}/cmdline`, "utf8");
  } catch (error) {
    // The process has ended meanwhile.
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ESRCH")) return "";
    throw error;
  }
}
