/** Volumes over real files, without containers (root is needed). */
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { MemoryStore } from "./memory-store.ts";
import { useVolumes } from "./volume-bed.ts";

describe("volumes", () => {
  const bed = useVolumes();
  const { signal } = bed;

  it("stay, with their files, when the removal of the record is refused", async () => {
    await bed.volumes.create({ name: "kept", driver: "", options: {}, labels: {} });
    writeFileSync(path.join(bed.dir, "volumes/kept/_data/mine"), "");
    const full = new Error("the disk is full");
    bed.store.refuseNext = full;
    await assert.rejects(bed.volumes.remove("kept", false), full);
    assert.equal(bed.volumes.inspect("kept").record.name, "kept");
    assert.ok(existsSync(path.join(bed.dir, "volumes/kept/_data/mine")));
    bed.store.refuseNext = full;
    await assert.rejects(
      bed.volumes.create({ name: "new", driver: "", options: {}, labels: {} }),
      full,
    );
    assert.throws(() => bed.volumes.inspect("new"), { message: "get new: no such volume" });
    assert.deepEqual(bed.volumeNames(), ["kept"]);
    assert.deepEqual(bed.actions(), ["create"]);
  });

  it("are pruned by Docker's rules", async () => {
    const make = (name: string, labels = {}, options = {}) =>
      bed.volumes.create({ name, driver: "", options, labels });
    await make("named", { keep: "1" });
    await make("optioned", {}, { type: "tmpfs", device: "tmpfs" });
    await make("");
    const names = async (all: boolean): Promise<number> =>
      (await bed.volumes.prune(new Map(), all, signal)).deleted.length;
    assert.equal(await names(false), 1);
    assert.deepEqual(
      (await bed.volumes.prune(new Map([["label!", ["keep=1"]]]), true, signal)).deleted,
      [],
    );
    assert.equal(await names(true), 1);
    assert.deepEqual(bed.volumeNames(), ["optioned"]);
  });

  it("are listed by filters, and measured when that is asked", async () => {
    await bed.attach("a", { binds: { values: ["used:/data"] } });
    await bed.volumes.create({ name: "idle", driver: "", options: {}, labels: { x: "1" } });
    const list = async (key: string, value: string): Promise<string[]> =>
      (await bed.volumes.list(new Map([[key, [value]]]), false, signal)).map(
        ({ record }) => record.name,
      );
    assert.deepEqual(await list("dangling", "true"), ["idle"]);
    assert.deepEqual(await list("label", "x=1"), ["idle"]);
    assert.deepEqual(await list("name", "us"), ["used"]);
    await assert.rejects(list("foo", "x"), { message: "invalid filter 'foo'" });
    const [measured] = await bed.volumes.list(new Map([["name", ["used"]]]), true, signal);
    assert.equal(measured?.refCount, 1);
    assert.ok((measured?.sizeBytes ?? 0n) > 0n);
  });

  it("are adopted when the database is lost, and none is removed", async () => {
    await bed.attach("a", { binds: { values: ["named:/data"] } });
    bed.store = new MemoryStore();
    bed.volumes = bed.create();
    await bed.volumes.open();
    assert.ok(existsSync(path.join(bed.volumes.inspect("named").mountpoint, "new")));
  });

  it("whose removal a crash cut short are as they were", async () => {
    await bed.volumes.create({ name: "kept", driver: "", options: {}, labels: { a: "b" } });
    const folder = path.join(bed.dir, "volumes/kept");
    const mine = path.join(folder, "_data/mine");
    const openAgain = async (): Promise<void> => {
      bed.volumes = bed.create();
      await bed.volumes.open();
      assert.equal(readFileSync(mine, "utf8"), "precious");
      assert.deepEqual(bed.volumes.inspect("kept").record.labels, { a: "b" });
    };
    writeFileSync(mine, "precious");
    renameSync(path.join(folder, "_data"), path.join(folder, "_removed"));
    await openAgain();
    // The crash comes between the folders and the record.
    const died = bed.store.diesAt(() => true, { withFolders: true });
    void bed.volumes.remove("kept", false);
    await died;
    assert.equal(existsSync(folder), false);
    bed.store.revive();
    await openAgain();
    await bed.volumes.remove("kept", false);
    assert.deepEqual(bed.volumeNames(), []);
  });

  it("of a container that a crash left half made are let go, but kept", async () => {
    await bed.attach("gone", { binds: { values: ["named:/data"] } });
    bed.volumes = bed.create();
    await bed.volumes.open();
    await bed.volumes.reconcile(new Set(), new Set());
    assert.deepEqual(bed.volumes.mountPoints("gone"), []);
    await bed.volumes.remove("named", false);
  });
});
