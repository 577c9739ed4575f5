/** What the suites share: an engine's roots, one form of ShimService, and what it launched. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before } from "node:test";
import { type EngineError } from "@gantry/errors";
import { type LaunchResponse } from "@gantry/proto/shim";
import { type EngineRoots, eventually, openEngineRoots } from "@gantry/testkit";
import { rejection as rejectionOf } from "@gantry/testkit/rejection";
import { type Bundle, type BundleChanges, makeBundle, makeLower } from "./bundle.ts";
import { type EventLog, openEventLog } from "./event-log.ts";
import type { ShimClient, ShimForm } from "./forms.ts";

export const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** Opens its roots before the tests of the surrounding suite, and removes all it launched after them. */
export class ShimBed {
  #roots: EngineRoots | undefined;
  #form: ShimForm | undefined;
  #events: EventLog | undefined;
  #lower = "";
  readonly #launched = new Set<string>();

  constructor(openForm: (roots: EngineRoots) => Promise<ShimForm>) {
    before(async () => {
      this.#roots = await openEngineRoots();
      this.#lower = await makeLower(this.roots.config.dataRoot);
      this.#form = await openForm(this.roots);
      this.#events = openEventLog(this.shim());
      // A served watch begins when its first answer could come: any call after it is behind it.
      await this.shim().prepare({ id: "warm-up" });
      await this.shim().delete({ id: "warm-up" });
    });

    after(async () => {
      // What a failed test left running.
      for (const id of this.#launched) await this.remove(id).catch(() => undefined);
      this.#events?.[Symbol.dispose]();
      await this.#form?.close();
      await this.#roots?.close();
    });
  }

  get roots(): EngineRoots {
    assert.ok(this.#roots !== undefined);
    return this.#roots;
  }

  get events(): EventLog {
    assert.ok(this.#events !== undefined);
    return this.#events;
  }

  shim(): ShimClient {
    assert.ok(this.#form !== undefined);
    return this.#form.client();
  }

  async bundleOf(args: string[], changes: BundleChanges = {}): Promise<Bundle> {
    const bundle = await makeBundle(this.roots.config.dataRoot, this.#lower, args, changes);
    this.#launched.add(bundle.id);
    return bundle;
  }

  async launch(args: string[], changes: BundleChanges = {}): Promise<Launched> {
    const bundle = await this.bundleOf(args, changes);
    const launched = await this.shim().launch(bundle.request);
    return { ...bundle, launched, remove: () => this.remove(bundle.id) };
  }

  async remove(id: string): Promise<void> {
    await this.shim().kill({ id });
    await this.shim().delete({ id });
  }

  cgroupFolders(id: string): string[] {
    return globSync(`/sys/fs/cgroup/{*/,}${this.roots.config.cgroupParent}/${id}`);
  }

  adopt(bundle: Bundle, launched?: LaunchResponse): ReturnType<ShimClient["adopt"]> {
    return this.shim().adopt({
      id: bundle.id,
      bootId,
      exitRecordPath: bundle.request.exitRecordPath ?? "",
      ...(launched === undefined ? {} : { launched }),
    });
  }

  /** Has the form's process die, and a new one in its place. */
  async crash(): Promise<void> {
    this.events[Symbol.dispose]();
    await this.#form?.crash();
    this.#events = openEventLog(this.shim());
  }
}

export interface Launched extends Bundle {
  readonly launched: LaunchResponse;
  remove(): Promise<void>;
}

/** Says ready, runs until SIGTERM, and ends with 7. */
export const forever = ["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"];

/** Resolves when a program of `forever` has said that it runs. */
export const ready = (logFile: string): Promise<unknown> =>
  eventually(() => existsSync(logFile) && readFileSync(logFile, "utf8").includes("ready"));

export function isAlive(pid: number): boolean {
  try {
    const state = /\) (\S)/.exec(readFileSync(`/proc/${String(pid)}/stat`, "utf8"))?.[1];
    return state !== "Z";
  } catch {
    return false;
  }
}

/** Reads a stream connection to its end. */
export async function readStream(socketPath: string, ticket: Uint8Array): Promise<Buffer> {
  const socket = connect(socketPath);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  socket.write(ticket);
  await new Promise((resolve) => {
    socket.once("close", resolve);
  });
  return Buffer.concat(chunks);
}

/** What a call was refused with. */
export const rejection = rejectionOf<EngineError>;
