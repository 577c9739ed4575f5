/** Where tests of `docker cp` run: an engine, and a folder of this machine. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before } from "node:test";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";

/** The engine is there while tests run. */
export interface CopyBed {
  readonly engine: TestEngine;
  /** A folder for files of the tests. */
  readonly work: string;
  readonly docker: (...args: string[]) => Promise<string>;
  /** Runs a script here, by default in the folder. */
  readonly sh: (script: string, cwd?: string) => Promise<string>;
  /** Of everything about a tree: names, contents, owners, modes, times, links, extended attributes. */
  readonly digestOf: (folder: string) => Promise<string>;
}

/** Everything about a tree, and nothing of when it was looked at. */
export const exactTar =
  "tar --sort=name --numeric-owner --format=posix --pax-option=delete=atime,delete=ctime --xattrs --xattrs-include='*'";

/** Sets a test file up. */
export function useCopyBed(): CopyBed {
  let engine: TestEngine | undefined;
  const opened = (): TestEngine => {
    assert.ok(engine !== undefined);
    return engine;
  };
  const workOf = ({ root }: TestEngine): string => path.join(root, "work");
  const sh = async (script: string, cwd = workOf(opened())): Promise<string> =>
    (await mustRun(["sh", "-ec", script], { cwd, env: opened().clientEnv() })).stdout;
  before(async () => {
    engine = await TestEngine.start();
    await mkdir(workOf(engine));
  });
  after(async () => {
    await engine?.[Symbol.asyncDispose]();
  });
  return {
    get engine() {
      return opened();
    },
    get work() {
      return workOf(opened());
    },
    docker: async (...args) => await opened().docker(args),
    sh,
    digestOf: async (folder) => (await sh(`${exactTar} -C "${folder}" -c . | sha256sum`)).trim(),
  };
}
