import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { clampTimes } from "./tar-times.ts";

const notAfter = 1_700_000_000;
let folder: string;

before(() => {
  folder = mkdtempSync("/tmp/gantry-tar-times-");
  const long = "n".repeat(150);
  for (const [name, time] of [
    ["young", 1_800_000_000.5],
    ["old", 1_000_000_000.25],
    [long, 1_800_000_000.5],
  ] as const) {
    writeFileSync(path.join(folder, name), name.repeat(200));
    utimesSync(path.join(folder, name), time, time);
  }
});
after(() => {
  rmSync(folder, { recursive: true });
});

/** An archive in pieces of a length. */
async function* pieces(bytes: Buffer, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

const archiveOf = (format: string): Buffer =>
  execFileSync("tar", ["-C", folder, `--format=${format}`, "-c", "."], { maxBuffer: 1 << 24 });

async function clamped(archive: Buffer, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of clampTimes(pieces(archive, length), notAfter)) parts.push(part);
  return Buffer.concat(parts);
}

const listed = (archive: Buffer): string[] =>
  execFileSync("tar", ["-tv", "--full-time"], { input: archive, env: { TZ: "UTC" } })
    .toString()
    .trim()
    .split("\n")
    .map((line) => line.replace(/^\S+ \S+ +\d+ /, "").replace(/n{150}/, "long"))
    // Newer ones line up the names.
    .map((line) => line.replace(/ +\.\//, " ./"))
    .sort();

describe("times of a tar's entries", () => {
  for (const format of ["pax", "gnu"]) {
    for (const length of [1, 700, 1 << 20]) {
      it(`are set back where they are younger (${format}, in pieces of ${String(length)})`, async () => {
        const fraction = format === "pax" ? ".25" : "";
        const moved = await clamped(archiveOf(format), length);
        const files = listed(moved).filter((line) => !line.endsWith("./"));
        assert.deepEqual(files, [
          `2001-09-09 01:46:40${fraction} ./old`,
          "2023-11-14 22:13:20 ./long",
          "2023-11-14 22:13:20 ./young",
        ]);
      });
    }
  }

  it("leave files and their names as they are", async () => {
    const moved = await clamped(archiveOf("pax"), 5000);
    const content = execFileSync("tar", ["-xO", "./young"], { input: moved }).toString();
    assert.equal(content, "young".repeat(200));
  });
});
