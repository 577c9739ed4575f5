import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connectData } from "@gantry/rpc";
import { eventually } from "@gantry/testkit";
import { makeLayer } from "@gantry/testkit/image-maker";
import { extract } from "tar-stream";
import { readAll, startEngine, type TestEngine, unframe } from "./engine.ts";

describe("files and logs", () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const put = async (id: string, path: string, tar: Uint8Array) => {
    for await (const { data } of engine.containers.putArchive({ container: id, path })) {
      assert.ok(data);
      const socket = await connectData(data);
      socket.end(tar);
      socket.resume();
    }
  };
  const get = async (id: string, path: string) => {
    let bytes: Promise<Buffer> | undefined;
    for await (const { data } of engine.containers.getArchive({ container: id, path })) {
      assert.ok(data);
      bytes = readAll(data);
    }
    return await entries((await bytes) ?? Buffer.alloc(0));
  };
  const entries = async (tar: Buffer): Promise<Record<string, string>> => {
    const found: Record<string, string> = {};
    const reader = extract();
    reader.end(tar);
    for await (const entry of reader) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      found[entry.header.name] = Buffer.concat(chunks).toString();
    }
    return found;
  };

  it("takes an archive only from the connection that shows its ticket", async () => {
    const id = await engine.create("true");
    const forged = await makeLayer([{ header: { name: "forged.txt" }, content: "not ours" }]);
    const own = await makeLayer([{ header: { name: "own.txt" }, content: "ours" }]);
    for await (const { data } of engine.containers.putArchive({ container: id, path: "/tmp" })) {
      assert.ok(data);
      const stranger = await connectData({ path: data.path, ticket: new Uint8Array(32) });
      stranger.on("error", () => undefined);
      stranger.end(forged);
      stranger.resume();
      await new Promise<void>((resolve) => {
        stranger.once("close", () => {
          resolve();
        });
      });
      const socket = await connectData(data);
      socket.end(own);
      socket.resume();
    }
    assert.deepEqual(Object.keys(await get(id, "/tmp/own.txt")), ["own.txt"]);
    await assert.rejects(get(id, "/tmp/forged.txt"), { kind: "not_found" });
  });

  for (const running of [false, true]) {
    it(`copies into and out of a ${running ? "running" : "stopped"} container`, async () => {
      const id = await engine.create("while :; do sleep 0.05; done");
      if (running) await engine.containers.startContainer({ container: id });
      const tar = await makeLayer([
        { header: { name: "hello.txt", mode: 0o640 }, content: "hi there" },
      ]);
      await put(id, "/tmp", tar);
      assert.deepEqual(await get(id, "/tmp/hello.txt"), { "hello.txt": "hi there" });
      const { stat } = await engine.containers.statPath({ container: id, path: "/tmp/hello.txt" });
      assert.deepEqual(
        [stat?.name, stat?.sizeBytes, (stat?.mode ?? 0) & 0o777],
        ["hello.txt", 8n, 0o640],
      );
      const link = await engine.containers.statPath({ container: id, path: "/bin/sh" });
      assert.equal(link.stat?.linkTarget, "/bin/busybox");
      const message = `Could not find the file /nowhere in container ${id}`;
      await assert.rejects(engine.containers.statPath({ container: id, path: "/nowhere" }), {
        kind: "not_found",
        message,
      });
      await assert.rejects(get(id, "/nowhere"), { kind: "not_found", message });
      await assert.rejects(put(id, "/etc/passwd", tar), {
        kind: "invalid_argument",
        message: "extraction point is not a directory",
      });
      await engine.containers.removeContainer({ container: id, force: true });
    });
  }

  it("refuses to write to a read-only root", async () => {
    const id = await engine.create("true", { hostConfig: { readonlyRootfs: true } });
    await assert.rejects(put(id, "/tmp", await makeLayer([])), {
      kind: "invalid_argument",
      message: "container rootfs is marked read-only",
    });
    await engine.containers.removeContainer({ container: id });
  });

  it("exports the whole tree", async () => {
    const id = await engine.create("echo made > /made");
    await engine.run(id);
    let bytes: Promise<Buffer> | undefined;
    for await (const { data } of engine.containers.exportContainer({ container: id })) {
      assert.ok(data);
      bytes = readAll(data);
    }
    const found = await entries((await bytes) ?? Buffer.alloc(0));
    assert.equal(found["made"], "made\n");
    assert.ok("etc/passwd" in found);
    await engine.containers.removeContainer({ container: id });
  });

  const logs = async (id: string, options: object = {}) => {
    const { data } = await engine.containers.openLogs({
      container: id,
      stdout: true,
      stderr: true,
      ...options,
    });
    assert.ok(data);
    return unframe(await readAll(data));
  };

  it("reads logs by stream, tail, time and with timestamps", async () => {
    const id = await engine.create("echo one; sleep 0.05; echo two >&2; sleep 0.05; echo -n three");
    await engine.run(id);
    assert.deepEqual(await logs(id), { stdout: "one\nthree", stderr: "two\n" });
    assert.deepEqual(await logs(id, { stdout: false }), { stdout: "", stderr: "two\n" });
    assert.deepEqual(await logs(id, { tail: 1n }), { stdout: "three", stderr: "" });
    assert.deepEqual(await logs(id, { tail: 0n }), { stdout: "", stderr: "" });
    assert.deepEqual(await logs(id, { tail: -1n }), { stdout: "one\nthree", stderr: "two\n" });
    const stamped = await logs(id, { timestamps: true, details: true, tail: 1n });
    assert.match(stamped.stdout, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z  three$/);
    const nano = (text: string) =>
      BigInt(Date.parse(`${text.slice(0, 19)}Z`)) * 1_000_000n + BigInt(text.slice(20, 29));
    const second = nano((await logs(id, { timestamps: true })).stderr);
    assert.deepEqual(await logs(id, { sinceNano: second }), { stdout: "three", stderr: "two\n" });
    assert.deepEqual(await logs(id, { untilNano: second }), { stdout: "one\n", stderr: "two\n" });
    await assert.rejects(engine.containers.openLogs({ container: id }), {
      kind: "invalid_argument",
      message: "must specify at least one of 'stdout' or 'stderr'",
    });
    await engine.containers.removeContainer({ container: id });
  });

  it("follows over rotations to the end of the run, without a line lost or twice", async () => {
    const id = await engine.create(
      "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo number $i; done",
      {
        hostConfig: {
          logConfig: { type: "json-file", config: { "max-size": "8k", "max-file": "100" } },
        },
      },
    );
    await engine.containers.startContainer({ container: id });
    const { stdout } = await logs(id, { follow: true });
    const expected = Array.from({ length: 3000 }, (_, index) => `number ${String(index + 1)}`);
    assert.deepEqual(stdout.trimEnd().split("\n"), expected);
    await eventually(async () => (await logs(id)).stdout === stdout);
    assert.equal((await logs(id, { tail: 200n })).stdout.trimEnd().split("\n").length, 200);
    await engine.containers.removeContainer({ container: id, force: true });
  });

  it("cannot read the logs of a driver that keeps none", async () => {
    const id = await engine.create("true", { hostConfig: { logConfig: { type: "none" } } });
    await assert.rejects(logs(id), {
      kind: "not_implemented",
      message: "configured logging driver does not support reading",
    });
    await engine.containers.removeContainer({ container: id });
  });
});
