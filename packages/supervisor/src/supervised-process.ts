/**
 * Keeps one program running.
 *
 *   stopped ──start──▶ starting ──probe ok──▶ ready
 *      ▲                  │  ▲                  │
 *      │                  │  └──back-off────────┤ process ended
 *      └──────────────── stop ◀─────────────────┘
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { unavailable } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { lastWords, openLog } from "./log-file.ts";
import {
  describeProcess,
  isAlive,
  loadRecord,
  type ProcessRecord,
  removeRecord,
  saveRecord,
} from "./process-record.ts";
import type { Program } from "./program.ts";

/** Options of superviseProgram. */
export interface SuperviseOptions {
  readonly program: Program;
  readonly logger: Logger;
  readonly dataRoot: string;
  /** Folder of process records. */
  readonly recordDir: string;
  /** Limit for each start until the program is ready. Default 60 s. */
  readonly readyTimeoutMs?: number;
}

/** A program that ran shorter than this had no success, and the next start waits longer. */
const steadyAfterMs = 10_000;
const minBackoffMs = 50;
const maxBackoffMs = 5000;
const probeIntervalMs = 15;
/** Who wants a program is told after so many starts in vain, and who starts the engine. */
const startsOnDemand = 3;
const startsOfEngine = 5;
/** Whoever runs answers a probe within this time. */
const probeTimeoutMs = 2000;
/**
 * A program begins when its standard input says so, and never when that is closed first: one that a killed
 * supervisor started and did not note would run beside the one that the next supervisor starts. Whose the descriptors
 * from 3 on are is told by its own number (sd_listen_fds(3)).
 */
const heldBack = 'read -r _ && export LISTEN_PID=$$ && exec "$@" </dev/null';

/** One program under supervision. */
export class SupervisedProcess {
  readonly #options: SuperviseOptions;
  readonly #logger: Logger;
  #child: ChildProcess | undefined;
  #stopping = false;
  #restarting = false;
  #backoffMs = minBackoffMs;
  #ensuring: Promise<void> | undefined;
  /** The current process has been ready. */
  #wasReady = false;
  /** Processes in a row that ended without. */
  #vain = 0;
  /** Aborts when the first start is given up. */
  readonly #hopeless = new AbortController();
  /** Resolves with the run of the process that is current. */
  #exited: Promise<void> = Promise.resolve();
  readonly #halt = new AbortController();

  constructor(options: SuperviseOptions) {
    this.#options = options;
    this.#logger = options.logger.child({ program: options.program.name });
  }

  get name(): string {
    return this.#options.program.name;
  }

  /**
   * Starts the program, in place of one that an earlier supervisor left, and waits until it is ready. Errors:
   * unavailable, with what the program told, when it keeps ending before that.
   */
  async start(): Promise<void> {
    await this.#endLeftover();
    await this.#launch();
    await this.#untilReady(this.#hopeless.signal);
  }

  /**
   * For a program that ends by itself: starts it unless it answers, and waits until it is ready. Calls at
   * once share one start. Errors: unavailable, also when it keeps ending before it is ready (a full disk).
   */
  ensure(): Promise<void> {
    this.#ensuring ??= this.#ensureNow().finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  async #ensureNow(): Promise<void> {
    const limit = AbortSignal.any([this.#halt.signal, AbortSignal.timeout(probeTimeoutMs)]);
    const answers = await this.#options.program.probe(limit).then(
      () => true,
      () => false,
    );
    if (answers) return;
    // It may be just ending, or just starting after a crash.
    if (this.#isRunning()) await Promise.race([this.#exited, this.#untilReady()]);
    if (this.#isRunning()) return;
    await this.#endLeftover();
    for (let tries = 0; tries < startsOnDemand; tries++) {
      if (this.#halt.signal.aborted) throw unavailable(`${this.name} is being stopped`);
      await this.#launch();
      const given = new AbortController();
      await Promise.race([this.#untilReady(given.signal), this.#exited]).finally(() => {
        given.abort();
      });
      if (this.#wasReady) return;
    }
    throw this.#endsEarly();
  }

  #endsEarly(): Error {
    const told = lastWords(this.#options.dataRoot, this.name, this.#child?.pid);
    const text = `${this.name} ends before it is ready`;
    return unavailable(told === undefined ? text : `${text}: ${told}`);
  }

  #isRunning(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /**
   * Ends the process and starts it anew; resolves when it is ready. One that ends by itself is only ended: it
   * comes back when it is wanted.
   */
  async restart(): Promise<void> {
    this.#restarting = true;
    this.#backoffMs = 0;
    try {
      await this.#end();
      if (this.#options.program.endsByItself) await this.#endLeftover();
      else await this.#untilReady();
    } finally {
      this.#restarting = false;
    }
  }

  /** Ends the process for good, also one that an earlier supervisor left: SIGTERM, and SIGKILL when its time is up. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#halt.abort();
    await this.#end();
    await this.#endLeftover();
    await this.#options.program.socket?.close();
    removeRecord(this.#options.recordDir, this.name);
  }

  /** Sends a signal, if the process runs. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Two can come to want a start at once: the back-off after a crash, and a caller of `ensure`. */
  async #launch(): Promise<void> {
    await this.#options.program.socket?.open();
    if (this.#isRunning()) return;
    const startedAt = performance.now();
    const child = this.#spawn();
    this.#child = child;
    this.#wasReady = false;
    this.#exited = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#logger.error({ err: error }, "program cannot be started");
        resolve();
      });
      child.once("exit", (code, signal) => {
        const asked = this.#stopping || this.#restarting;
        this.#logger[asked ? "info" : "warn"]({ code, signal }, "program ended");
        resolve();
      });
    });
    this.#exited
      .then(() => this.#onExit(performance.now() - startedAt))
      .catch((error: unknown) => {
        if (!this.#stopping) this.#logger.error({ err: error }, "program is not back");
      });
    await this.#note(child);
    this.#logger.info({ child: child.pid }, "program started");
  }

  #spawn(): ChildProcess {
    const { program, dataRoot } = this.#options;
    const log = openLog(dataRoot, program.name);
    const socket = program.socket?.fd;
    try {
      return spawn("/bin/sh", ["-c", heldBack, program.name, ...program.command()], {
        cwd: "/",
        env: { ...program.env, ...(socket !== undefined && { LISTEN_FDS: "1" }) },
        stdio: ["pipe", log, log, ...(socket === undefined ? [] : [socket])],
        // A session of its own: Ctrl-C at our terminal is not for it.
        detached: true,
      });
    } finally {
      closeSync(log);
    }
  }

  /** Keeps who the process is, then lets it begin. */
  async #note(child: ChildProcess): Promise<void> {
    // Who has ended reads nothing any more; the end itself is handled as one.
    child.stdin?.on("error", (error) => {
      this.#logger.debug({ err: error }, "program ended before it began");
    });
    try {
      const record = child.pid === undefined ? undefined : describeProcess(child.pid);
      if (record !== undefined) await saveRecord(this.#options.recordDir, this.name, record);
      child.stdin?.end("\n");
    } catch (error) {
      child.stdin?.destroy();
      throw error;
    }
  }

  async #onExit(ranMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#vain = this.#wasReady ? 0 : this.#vain + 1;
    if (this.#vain === startsOfEngine) this.#hopeless.abort();
    // One that was never ready is started again by who wants it, not for ever.
    const { endsByItself } = this.#options.program;
    const ended = this.#child?.exitCode === 0 || this.#restarting;
    if (endsByItself && (ended || !this.#wasReady)) return;
    const delayMs = ranMs > steadyAfterMs ? minBackoffMs : this.#backoffMs;
    this.#backoffMs = Math.min(Math.max(delayMs, minBackoffMs) * 2, maxBackoffMs);
    await pause(delayMs, undefined, { signal: this.#halt.signal }).catch(() => undefined);
    // stop() may have come during the pause.
    if (this.#halt.signal.aborted) return;
    await this.#launch();
    // restart() looks by itself.
    if (!this.#restarting) await this.#untilReady();
  }

  /** @param given aborts when nobody waits any more. */
  async #untilReady(given = new AbortController().signal): Promise<void> {
    const timeoutMs = this.#options.readyTimeoutMs ?? 3 * 60_000;
    const limit = AbortSignal.any([this.#halt.signal, given, AbortSignal.timeout(timeoutMs)]);
    for (;;) {
      const failure = await this.#options.program.probe(limit).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      if (failure === undefined) {
        this.#wasReady = true;
        this.#logger.info({}, "program is ready");
        return;
      }
      if (given.aborted) throw this.#endsEarly();
      if (limit.aborted) {
        throw unavailable(`${this.name} did not become ready`, { cause: failure.error });
      }
      await pause(probeIntervalMs, undefined, { signal: limit }).catch(() => undefined);
    }
  }

  async #end(): Promise<void> {
    const child = this.#child;
    const exited = this.#exited;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => {
      this.#logger.warn({ child: child.pid }, "program did not end in time and is killed");
      child.kill("SIGKILL");
    }, this.#options.program.stopTimeoutMs);
    await exited;
    clearTimeout(timer);
  }

  /** Ends the process of a supervisor that was killed: it is not our child and cannot be waited for. */
  async #endLeftover(): Promise<void> {
    const { recordDir, program } = this.#options;
    const record = loadRecord(recordDir, program.name);
    if (record === undefined || !isAlive(record)) return;
    this.#logger.info({ child: record.pid }, "ending the program of an earlier supervisor");
    await endProcess(record, program.stopTimeoutMs);
  }
}

/** Ends a process that is not our child. */
async function endProcess(record: ProcessRecord, timeoutMs: number): Promise<void> {
  process.kill(record.pid, "SIGTERM");
  const until = performance.now() + timeoutMs;
  let killed = false;
  while (isAlive(record)) {
    if (!killed && performance.now() > until) {
      process.kill(record.pid, "SIGKILL");
      killed = true;
    }
    await pause(probeIntervalMs);
  }
}
