/** What the display says of FROM: done where an image is found, or new to the builder; cached where it is worked on again. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { it } from "node:test";
import { mustRun } from "@gantry/testkit";
import { useBuildxBed } from "../src/buildx-bed.ts";

let folder: string;

const bed = useBuildxBed({
  busybox: false,
  prepare: async (engine) => {
    folder = path.join(engine.root, "context");
    await mkdir(folder);
    await writeFile(path.join(folder, "Dockerfile"), "FROM imported\nCOPY file /\n");
    await writeFile(path.join(folder, "file"), "1");
    const archive = path.join(engine.root, "base.tar");
    await mustRun(["tar", "-C", folder, "-cf", archive, "Dockerfile"]);
    await engine.docker(["import", archive, "imported"]);
  },
});

/** The line behind those of FROM. */
async function shown(): Promise<string> {
  const stderr = await bed.build(folder);
  const number = /^#(\d+) \[1\/2\] FROM /m.exec(stderr)?.[1] ?? "none";
  assert.match(stderr, new RegExp(`^#${number} resolve docker.io/library/imported:latest@`, "m"));
  const ends = [...stderr.matchAll(new RegExp(`^#${number} (DONE|CACHED)`, "gm"))];
  return ends.at(-1)?.[1] ?? "";
}

it("is done at first, cached for work on it, and done where nothing of it is needed", async () => {
  assert.equal(await shown(), "DONE");
  await writeFile(path.join(folder, "file"), "2");
  assert.equal(await shown(), "CACHED");
  assert.equal(await shown(), "DONE");
});
