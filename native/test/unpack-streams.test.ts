/** `unpack unpack`: archives and compressions as others write them, whole and broken. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { makeRichTree } from "./rich-tree.ts";
import { entryBytes, tarOf } from "./tar-bytes.ts";
import {
  builds,
  describeTree,
  runUnpack,
  sh,
  sha256,
  startUnpack,
  workDirectory,
} from "./unpack-program.ts";

for (const build of builds) {
  describe(`unpack (${build})`, () => {
    it("probe tells what begins with an entry", async (t) => {
      const work = workDirectory(t);
      const archive = tarOf({ name: "file", data: Buffer.from("content") });
      const small = gzipSync(archive);
      const cases: readonly (readonly [boolean, Buffer])[] = [
        ...[archive, small, zstdCompressSync(archive), archive.subarray(0, 512)].map(
          (bytes) => [true, bytes] as const,
        ),
        ...[
          ...[Buffer.alloc(0), Buffer.alloc(10_240), Buffer.from("text"), gzipSync("text")],
          ...[gzipSync(small), small.subarray(0, 20), archive.subarray(1)],
        ].map((bytes) => [false, bytes] as const),
      ];
      for (const [archive, input] of cases) {
        const outcome = await runUnpack(build, work, ["probe"], { input });
        assert.deepEqual(outcome.report, { ok: true, archive }, JSON.stringify(outcome));
      }
      assert.deepEqual(readdirSync(work), []);
    });
    for (const format of [
      "pax",
      "gnu",
      "posix-sparse-0.0",
      "posix-sparse-0.1",
      "gnu-sparse",
      "posix-sparse-1.0",
    ]) {
      it(`writes what GNU tar archived: ${format}`, async (t) => {
        const work = workDirectory(t);
        const source = path.join(work, "source");
        const target = path.join(work, "target");
        mkdirSync(source);
        mkdirSync(target);
        makeRichTree(source);
        const sparse = format.includes("sparse");
        const version = /sparse-([0-9.]+)/.exec(format)?.[1];
        const flags = [
          format.startsWith("gnu") ? "--format=gnu" : "--format=pax --xattrs --xattrs-include='*'",
          sparse ? "--sparse" : "",
          version ? `--sparse-version=${version}` : "",
        ].join(" ");
        sh(`tar ${flags} -C source -cf archive.tar .`, work);
        if (format.startsWith("gnu")) {
          // That format has neither attributes nor fractions of a second: compare with what GNU tar itself restores.
          sh(
            "rm -rf source && mkdir source && tar -C source --same-owner -p -xf archive.tar",
            work,
          );
        }
        const outcome = await runUnpack(build, target, ["unpack"], {
          input: readFileSync(path.join(work, "archive.tar")),
        });
        assert.deepEqual(
          [outcome.report?.ok, outcome.exitCode],
          [true, 0],
          JSON.stringify(outcome),
        );
        assert.equal(describeTree(target), describeTree(source));
        if (sparse) assert.ok(statSync(path.join(target, "sparse")).blocks * 512 < 1 << 20);
        const used = Number(sh("du -sB1 . | cut -f1", target));
        assert.ok(
          Math.abs(Number(outcome.report?.["diskBytes"]) - used) < used * 0.05,
          `${String(outcome.report?.["diskBytes"])} ${String(used)}`,
        );
      });
    }

    const plain = tarOf(
      { name: "first", data: "one" },
      {
        name: "noise",
        data: Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 7919) % 251)),
      },
    );
    const members = [0, 1, 511, 4096, 65_537, 500_000].map((start, i, all) =>
      gzipSync(plain.subarray(start, all[i + 1])),
    );
    const zstd = (data: Buffer) =>
      zstdCompressSync(data, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
    const pipe = (command: string, t: TestContext) => {
      const work = workDirectory(t);
      writeFileSync(path.join(work, "in"), plain);
      sh(`${command} < in > out`, work);
      return readFileSync(path.join(work, "out"));
    };
    const encodings: Record<string, (t: TestContext) => Buffer> = {
      none: () => plain,
      gzip: () => gzipSync(plain),
      "gzip of many members": () => Buffer.concat(members),
      "gzip with a name and comment": (t) => pipe("gzip -N -9", t),
      zstd: () => zstd(plain),
      "zstd of two frames behind a skippable one": () =>
        Buffer.concat([
          Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]),
          zstd(plain.subarray(0, 1000)),
          zstd(plain.subarray(1000)),
        ]),
      bzip2: (t) => pipe("bzip2 -c", t),
      "bzip2 of two streams": (t) =>
        pipe("(head -c 512 | bzip2 -c; tail -c +513 in | bzip2 -c)", t),
      xz: (t) => pipe("xz -c", t),
    };
    for (const [name, encode] of Object.entries(encodings)) {
      it(`reads ${name} and reports both digests`, async (t) => {
        const root = workDirectory(t);
        const encoded = encode(t);
        const { report } = await runUnpack(build, root, ["unpack"], { input: encoded });
        assert.deepEqual(
          [
            report?.ok,
            report?.["digest"],
            report?.["diffId"],
            report?.["compressedBytes"],
            report?.["uncompressedBytes"],
          ],
          [true, sha256(encoded), sha256(plain), encoded.length, plain.length],
          JSON.stringify(report),
        );
        assert.equal(readFileSync(path.join(root, "first"), "utf8"), "one");
      });

      it(`refuses ${name} that ends early`, async (t) => {
        const encoded = encode(t);
        for (const keep of [0.3, 0.9]) {
          const input = encoded.subarray(0, Math.floor(encoded.length * keep));
          const { report, exitCode } = await runUnpack(build, workDirectory(t), ["unpack"], {
            input,
          });
          assert.deepEqual([report?.ok, exitCode], [false, 1]);
          assert.match(
            `${report?.step}: ${report?.message}`,
            /^(decompress|tar): .*unexpected end/,
          );
        }
      });

      if (name === "none") continue;
      it(`refuses ${name} with flipped bits`, async (t) => {
        const encoded = Buffer.from(encode(t));
        encoded.fill(0xa5, encoded.length >> 1, (encoded.length >> 1) + 16);
        const { report, exitCode } = await runUnpack(build, workDirectory(t), ["unpack"], {
          input: encoded,
        });
        assert.deepEqual([report?.ok, exitCode], [false, 1], JSON.stringify(report));
      });
    }

    it("refuses data after the last gzip member", async (t) => {
      const input = Buffer.concat([gzipSync(plain), Buffer.from("junk")]);
      const { report } = await runUnpack(build, workDirectory(t), ["unpack"], { input });
      assert.deepEqual(
        [report?.step, report?.message],
        ["decompress", "decompress gzip: data after the last member"],
      );
    });

    it("takes an empty stream and an archive without end blocks", async (t) => {
      assert.equal((await runUnpack(build, workDirectory(t), ["unpack"])).report?.["entries"], 0);
      const input = entryBytes({ name: "f", data: "x" });
      assert.equal(
        (await runUnpack(build, workDirectory(t), ["unpack"], { input })).report?.["entries"],
        1,
      );
    });

    it("works while the stream is still arriving", async (t) => {
      const root = workDirectory(t);
      const running = startUnpack(build, root, ["unpack"]);
      const second = entryBytes({ name: "second", data: Buffer.alloc(1 << 20) });
      running.stdin.write(entryBytes({ name: "first", data: Buffer.alloc(1 << 20) }));
      running.stdin.write(second.subarray(0, 300_000));
      const deadline = Date.now() + 20_000;
      while (!readdirSync(root).includes("second")) {
        assert.ok(Date.now() < deadline, "the second file did not appear");
        await new Promise(setImmediate);
      }
      running.stdin.end(second.subarray(300_000));
      assert.equal((await running.outcome).report?.ok, true);
    });

    it("ends when nobody is left to read the report, though the input stays open", async (t) => {
      const running = startUnpack(build, workDirectory(t), ["unpack"]);
      running.stdin.write(entryBytes({ name: "first", data: "x" }));
      running.report.destroy();
      const { exitCode } = await running.outcome;
      assert.equal(exitCode, 3);
    });
  });
}
