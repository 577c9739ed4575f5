// The unpack program takes compressed blocks from layers that were packed before (pack --blocks).
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { crc32, gunzipSync } from "node:zlib";
import { builds, makeDirectory, type Outcome, runUnpack } from "./unpack-program.ts";

assert.ok(builds.length > 0, "build the unpack program first: make -C native all asan");

const headBytes = 24;
const entryBytes = 32;
const key = "sixteen letters.";

/** A folder for trees, layers and their indexes. */
class Bench {
  readonly #work: string;
  readonly #build: string;

  constructor(t: TestContext, build: string) {
    const made = makeDirectory();
    t.after(made.remove);
    this.#work = made.path;
    this.#build = build;
    mkdirSync(this.tree);
  }

  get tree(): string {
    return path.join(this.#work, "tree");
  }

  write(name: string, content: Buffer | string): void {
    writeFileSync(path.join(this.tree, name), content);
  }

  layer(name: string): string {
    return path.join(this.#work, `${name}.gz`);
  }

  index(name: string): string {
    return path.join(this.#work, `${name}.blocks`);
  }

  /** Packs the tree as a layer of that name, with what earlier ones have. */
  async pack(
    name: string,
    like: readonly string[] = [],
    head = `gblocks1${key}`,
  ): Promise<Outcome> {
    writeFileSync(this.index(name), head);
    const args = ["pack", "--gzip", "--blocks", String(like.length)];
    const others = like.flatMap((each) => [this.index(each), this.layer(each)]);
    const outcome = await runUnpack(this.#build, this.tree, args, {
      extra: [this.index(name), ...others],
    });
    writeFileSync(this.layer(name), outcome.stdout);
    return outcome;
  }

  /** Packs it without any help. */
  async packPlainly(): Promise<Buffer> {
    return (await runUnpack(this.#build, this.tree, ["pack", "--gzip"])).stdout;
  }

  entries(name: string): { tag: string; offset: number; size: number; at: number }[] {
    const index = readFileSync(this.index(name));
    assert.equal((index.length - headBytes) % entryBytes, 0);
    return Array.from({ length: (index.length - headBytes) / entryBytes }, (_, number) => {
      const at = headBytes + number * entryBytes;
      return {
        at,
        tag: index.toString("hex", at, at + 16),
        offset: Number(index.readBigUInt64LE(at + 16)),
        size: index.readUInt32LE(at + 24),
      };
    });
  }

  /** Changes a byte of each of a layer's blocks. @param honest the index knows the new bytes' sums */
  spoil(name: string, honest: boolean): void {
    const layer = readFileSync(this.layer(name));
    const index = readFileSync(this.index(name));
    for (const { at, offset, size } of this.entries(name)) {
      const middle = offset + Math.floor(size / 2);
      layer.writeUInt8(layer.readUInt8(middle) ^ 0xff, middle);
      if (honest) index.writeUInt32LE(crc32(layer.subarray(offset, offset + size)), at + 28);
    }
    writeFileSync(this.layer(name), layer);
    writeFileSync(this.index(name), index);
  }
}

function sha256(data: Buffer): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

/** Compresses to a half or so. */
function content(bytes: number): Buffer {
  return Buffer.from(randomBytes(Math.ceil(bytes / 2)).toString("hex")).subarray(0, bytes);
}

/** A tree of several blocks, with small files and large ones. */
function fill(bench: Bench): void {
  for (let file = 0; file < 40; file += 1) bench.write(`small-${file}`, content(100_000));
  bench.write("large", content(5_300_000));
}

for (const build of builds) {
  describe(`unpack pack --blocks (${build})`, () => {
    it("gives the same bytes with an earlier layer's blocks, and takes them from there", async (t) => {
      const bench = new Bench(t, build);
      fill(bench);
      const first = await bench.pack("first");
      const plain = await bench.packPlainly();
      assert.equal(sha256(first.stdout), sha256(plain));
      assert.ok(bench.entries("first").length >= 10);
      const second = await bench.pack("second", ["first"]);
      assert.equal(sha256(second.stdout), sha256(plain));
      assert.equal(second.report?.["digest"], sha256(plain));
      assert.equal(second.report?.["diffId"], sha256(gunzipSync(plain)));
      assert.deepEqual(readFileSync(bench.index("second")), readFileSync(bench.index("first")));
      // What was changed there comes out here: nothing else could have made it.
      bench.spoil("first", true);
      const third = await bench.pack("third", ["first"]);
      assert.notEqual(sha256(third.stdout), sha256(plain));
      const end = bench.entries("first").at(-1);
      const reused = (end?.offset ?? 0) + (end?.size ?? 0);
      const spoiled = readFileSync(bench.layer("first"));
      assert.equal(sha256(third.stdout.subarray(0, reused)), sha256(spoiled.subarray(0, reused)));
    });

    it("compresses anew what is not any more what it was", async (t) => {
      const bench = new Bench(t, build);
      fill(bench);
      const plain = (await bench.pack("first")).stdout;
      bench.spoil("first", false);
      assert.equal(sha256((await bench.pack("second", ["first"])).stdout), sha256(plain));
      truncateSync(bench.layer("second"), Math.floor(plain.length / 2));
      assert.equal(sha256((await bench.pack("third", ["second"])).stdout), sha256(plain));
      truncateSync(bench.index("third"), headBytes + 3 * entryBytes + 7);
      assert.equal(sha256((await bench.pack("fourth", ["third"])).stdout), sha256(plain));
    });

    it("passes over an index with another key", async (t) => {
      const bench = new Bench(t, build);
      fill(bench);
      const plain = (await bench.pack("first", [], "gblocks1another key of ...")).stdout;
      bench.spoil("first", true);
      assert.equal(sha256((await bench.pack("second", ["first"])).stdout), sha256(plain));
    });

    it("finds most blocks again behind files that come, go and grow", async (t) => {
      const bench = new Bench(t, build);
      fill(bench);
      await bench.pack("first");
      bench.write("a-new-one", content(3333));
      bench.write("small-20", content(70_000));
      rmSync(path.join(bench.tree, "small-33"));
      const second = await bench.pack("second", ["first"]);
      assert.equal(sha256(second.stdout), sha256(await bench.packPlainly()));
      const known = new Set(bench.entries("first").map(({ tag }) => tag));
      const blocks = bench.entries("second");
      const anew = blocks.filter(({ tag }) => !known.has(tag));
      assert.ok(anew.length > 0);
      assert.ok(anew.length * 2 < blocks.length, `${anew.length} of ${blocks.length} are new`);
    });

    it("takes blocks from several layers", async (t) => {
      const bench = new Bench(t, build);
      const large = content(3_000_000);
      bench.write("large", large);
      await bench.pack("first");
      rmSync(path.join(bench.tree, "large"));
      bench.write("other", content(3_000_000));
      await bench.pack("second");
      bench.write("large", large);
      const third = await bench.pack("third", ["first", "second"]);
      assert.equal(sha256(third.stdout), sha256(await bench.packPlainly()));
      const tags = (name: string): string[] => bench.entries(name).map(({ tag }) => tag);
      const known = new Set([...tags("first"), ...tags("second")]);
      assert.ok(tags("third").filter((tag) => known.has(tag)).length >= 4);
    });

    it("wants a head in the file for the index", async (t) => {
      const bench = new Bench(t, build);
      const { report } = await bench.pack("first", [], "gblocks0sixteen letters.");
      assert.deepEqual([report?.ok, report?.step], [false, "blocks"]);
    });
  });
}
