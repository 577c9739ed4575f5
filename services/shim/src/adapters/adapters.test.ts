/** The adapters' pure parts, and what they do with damaged input. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { hasKind } from "@gantry/errors";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { ErrorSchema, ShimMessageSchema, StartFailedSchema } from "@gantry/proto/shim";
import fc from "fast-check";
import { toEngineErrorOf, toLaunchError } from "../process-error.ts";
import { frameReader } from "./control-link.ts";
import { exitRecordFiles } from "./exit-record.ts";
import { openSeccompCache } from "./seccomp-cache.ts";

function frame(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(bytes.length);
  return Buffer.concat([head, bytes]);
}

describe("frameReader", () => {
  it("finds every frame however the stream is cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat({ max: 30 })), (frames, cuts) => {
        const stream = Buffer.concat(frames.map(frame));
        const found: Buffer[] = [];
        const read = frameReader((each) => found.push(Buffer.from(each)));
        let at = 0;
        for (const size of [...cuts, stream.length]) {
          read(stream.subarray(at, at + size));
          at = Math.min(at + size, stream.length);
        }
        assert.deepEqual(
          found,
          frames.map((each) => Buffer.from(each)),
        );
      }),
    );
  });

  it("refuses a frame that is too large before it is there", () => {
    const read = frameReader(() => undefined);
    assert.throws(
      () => {
        read(Buffer.from([0, 0, 0, 1, 0]));
      },
      (error) => hasKind(error, "data_loss"),
    );
  });

  it("carries whole messages", () => {
    const message = create(ShimMessageSchema, { replyTo: 5n });
    const found: number[] = [];
    frameReader((each) => found.push(each.length))(frame(toBinary(ShimMessageSchema, message)));
    assert.deepEqual(found, [2]);
  });
});

describe("errors of the shim process", () => {
  it("are the user's fault with 126 and 127, else ours", () => {
    const kindOf = (exitCode: number): string =>
      toLaunchError(create(StartFailedSchema, { exitCode, message: "m" })).kind;
    assert.deepEqual([126, 127, 128, 0].map(kindOf), [
      "invalid_argument",
      "invalid_argument",
      "internal",
      "internal",
    ]);
  });

  it("keep the class that a request was refused with", () => {
    const kindOf = (code: string): string => toEngineErrorOf(create(ErrorSchema, { code })).kind;
    assert.deepEqual(["not_found", "gone", "invalid", "errno", "version"].map(kindOf), [
      "not_found",
      "conflict",
      "invalid_argument",
      "internal",
      "internal",
    ]);
  });
});

describe("exit records", () => {
  it("takes a whole record, and nothing else", async () => {
    await using folder = await openTempDir("gantry-exit-");
    const file = path.join(folder.path, "exit.json");
    assert.equal(await exitRecordFiles.read(file), undefined);
    assert.equal(await exitRecordFiles.read(""), undefined);
    const whole = {
      nonce: "ab",
      exitCode: 137,
      signal: 9,
      oomKilled: true,
      timeNano: "1767225600000000001",
    };
    await writeFile(file, JSON.stringify(whole));
    const record = await exitRecordFiles.read(file);
    assert.equal(record?.nonce, "ab");
    const { exitCode, signal, oomKilled, timeNano } = record.exited ?? {};
    assert.deepEqual([exitCode, signal, oomKilled, timeNano], [137, 9, true, 1767225600000000001n]);
    for (const damaged of [
      '{"nonce":"ab"',
      "null",
      "[]",
      '{"exitCode":"0","timeNano":"1"}',
      '{"exitCode":0,"timeNano":"x"}',
    ]) {
      await writeFile(file, damaged);
      assert.equal(await exitRecordFiles.read(file), undefined, damaged);
    }
  });
});

describe("start records", () => {
  const begun = { nonce: "ab", pid: 7, pidStartTicks: "42", startedNano: "1767225600000000001" };

  it("tell of a program that has begun and not ended", async () => {
    await using folder = await openTempDir("gantry-exit-");
    const file = path.join(folder.path, "exit.json");
    await writeFile(file, JSON.stringify(begun).padEnd(512));
    const record = await exitRecordFiles.read(file);
    assert.deepEqual(record, {
      nonce: "ab",
      started: { pid: 7, pidStartTicks: 42n, startedAtNano: 1767225600000000001n },
      exited: undefined,
    });
  });

  it("tell nothing while it has not, nor when it has been blanked", async () => {
    await using folder = await openTempDir("gantry-exit-");
    const file = path.join(folder.path, "exit.json");
    for (const text of [
      JSON.stringify({ ...begun, startedNano: "0".repeat(19) }),
      " ".repeat(512),
    ]) {
      await writeFile(file, text);
      assert.equal(await exitRecordFiles.read(file), undefined, text);
    }
  });
});

describe("the seccomp cache", () => {
  const profile = { defaultAction: "SCMP_ACT_ALLOW" };

  function counting(folder: string) {
    const compiled = { count: 0 };
    const kernel = {
      seccompVersion: () => "2.5.4",
      compileSeccomp: () => {
        compiled.count += 1;
        return Promise.resolve(new Uint8Array(16));
      },
    };
    const open = () => openSeccompCache({ kernel, cacheDir: folder, logger: silentLogger() });
    return { compiled, open };
  }

  it("compiles a profile once, also for the next process", async () => {
    await using folder = await openTempDir("gantry-seccomp-");
    const { compiled, open } = counting(folder.path);
    const cache = open();
    await Promise.all([cache.compile(profile), cache.compile({ ...profile })]);
    await open().compile(profile);
    assert.equal(compiled.count, 1);
  });

  it("compiles anew what is damaged on disk", async () => {
    await using folder = await openTempDir("gantry-seccomp-");
    const { compiled, open } = counting(folder.path);
    await open().compile(profile);
    const [name = ""] = await readdir(folder.path);
    await writeFile(path.join(folder.path, name), "short");
    await open().compile(profile);
    assert.equal(compiled.count, 2);
    assert.equal((await readFile(path.join(folder.path, name))).length, 16);
  });

  it("works where it cannot write", async () => {
    await using folder = await openTempDir("gantry-seccomp-");
    await writeFile(path.join(folder.path, "file"), "");
    const { open } = counting(path.join(folder.path, "file", "below"));
    assert.equal((await open().compile(profile)).program.length, 16);
  });

  it("refuses unknown words as the caller's fault", async () => {
    await using folder = await openTempDir("gantry-seccomp-");
    const { open } = counting(folder.path);
    await assert.rejects(open().compile({ defaultAction: "SCMP_ACT_MAYBE" }), (error) =>
      hasKind(error, "invalid_argument"),
    );
  });
});
