/** Where tests of volumes run: an engine, and an image that has data for them. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before } from "node:test";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { mountsBelow } from "@gantry/testkit/leaks";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

/** Busybox with a volume at /declared and files at /data. */
export const imageWithData = "withdata:1";

/** The engine is there while tests run. */
export interface VolumeBed {
  readonly engine: TestEngine;
  readonly docker: (...args: string[]) => Promise<string>;
  /** `docker run --rm`. */
  readonly run: (...args: string[]) => Promise<string>;
  /** A container's mounts, as inspect shows them. */
  readonly mountsOf: (id: string) => Promise<Record<string, unknown>[]>;
  /** Names of all volumes. */
  readonly volumes: () => Promise<string[]>;
  readonly removeVolumes: () => Promise<void>;
  /** What a container held is let go of after it was answered for. */
  readonly nothingMounted: () => Promise<void>;
}

/** Sets a test file up. After each test its containers are removed: one failure must not make others. */
export function useVolumeBed(): VolumeBed {
  let engine: TestEngine | undefined;
  const opened = (): TestEngine => {
    assert.ok(engine !== undefined);
    return engine;
  };
  const docker = async (...args: string[]): Promise<string> => await opened().docker(args);
  const volumes = async (): Promise<string[]> => words(await docker("volume", "ls", "-q"));
  before(async () => {
    engine = await TestEngine.start();
    await engine.docker(["load"], { input: await dataArchive(engine) });
  });
  afterEach(async () => {
    const ids = words(await docker("ps", "-aq"));
    if (ids.length > 0) await docker("rm", "-f", "-v", ...ids);
  });
  after(async () => {
    await engine?.[Symbol.asyncDispose]();
  });
  return {
    get engine() {
      return opened();
    },
    docker,
    run: async (...args) => await docker("run", "--rm", ...args),
    mountsOf: async (id) =>
      JSON.parse(await docker("inspect", "-f", "{{json .Mounts}}", id)) as Record<
        string,
        unknown
      >[],
    volumes,
    async removeVolumes() {
      const names = await volumes();
      if (names.length > 0) await docker("volume", "rm", ...names);
    },
    nothingMounted: async () => {
      await untilPasses(() => {
        assert.deepEqual(mountsBelow(opened().root), []);
      });
    },
  };
}

const words = (text: string): string[] => text.split("\n").filter((word) => word !== "");

async function dataArchive(engine: TestEngine): Promise<Uint8Array> {
  const busybox = await engine.docker(["create", "busybox"]);
  const exported = path.join(engine.root, "busybox.tar");
  await engine.docker(["export", "-o", exported, busybox]);
  await engine.docker(["rm", busybox]);
  const top = await makeLayer([
    { header: { name: "data/", type: "directory", mode: 0o750, uid: 1000, gid: 1001 } },
    { header: { name: "data/file", mode: 0o640, uid: 1000, gid: 1001 }, content: "of the image" },
    { header: { name: "data/link", type: "symlink", linkname: "file" } },
    { header: { name: "declared/", type: "directory", mode: 0o1777 } },
    { header: { name: "todata", type: "symlink", linkname: "/data" } },
  ]);
  const made = makeImage({
    layers: [await readFile(exported), top],
    config: { Cmd: ["sh"], Volumes: { "/declared": {} } },
  });
  return await makeDockerArchive([{ image: made, tags: [imageWithData] }]);
}
