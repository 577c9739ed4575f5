/** Volumes that are filled from an image, whatever cuts that short (root is needed). */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import type { MountedContainer } from "../src/ports/volumes.ts";
import { useVolumes } from "./volume-bed.ts";

describe("volumes", () => {
  const bed = useVolumes();

  it("are filled from the merged layers of the image, with owners, modes and links", async () => {
    await bed.attach("a", { volumes: ["/data"] });
    const { source, name, mode, rw, propagation } = bed.mountPoint("a", "/data");
    assert.match(name, /^[0-9a-f]{64}$/);
    assert.deepEqual({ mode, rw, propagation }, { mode: "", rw: true, propagation: "" });
    assert.deepEqual(readdirSync(source).sort(), ["hard", "link", "new", "old", "sub"]);
    const top = statSync(source);
    assert.deepEqual([top.uid, top.gid, top.mode & 0o7777], [33, 34, 0o1777]);
    const owned = statSync(path.join(source, "sub/owned"));
    assert.deepEqual([owned.uid, owned.gid, owned.mode & 0o7777], [1000, 1001, 0o4750]);
    assert.equal(statSync(path.join(source, "hard")).ino, statSync(path.join(source, "new")).ino);
    assert.ok(lstatSync(path.join(source, "link")).isSymbolicLink());
  });

  it("resolve links of the image inside the image", async () => {
    await bed.attach("a", { volumes: ["/outside", "/climbing"] });
    const { source } = bed.mountPoint("a", "/outside");
    assert.equal(readFileSync(path.join(source, "passwd"), "utf8"), "the image's");
    assert.ok(existsSync(path.join(bed.mountPoint("a", "/climbing").source, "new")));
  });

  it("stay empty with nocopy, for a path that is not there, and when they hold something", async () => {
    await bed.volumes.create({ name: "used", driver: "", options: {}, labels: {} });
    writeFileSync(path.join(bed.dir, "volumes/used/_data/mine"), "");
    await bed.attach("a", {
      binds: {
        values: ["plain:/data:nocopy", "file:/etc/passwd:nocopy", "nowhere:/nowhere", "used:/etc"],
      },
    });
    const files = (destination: string): string[] =>
      readdirSync(bed.mountPoint("a", destination).source);
    assert.deepEqual(files("/data"), []);
    assert.deepEqual(files("/etc/passwd"), []);
    assert.deepEqual(files("/nowhere"), []);
    assert.deepEqual(files("/etc"), ["mine"]);
  });

  it("are not put over a file of the image, and the words say who asked", async () => {
    const refused = async (choice: Partial<MountedContainer>, message: RegExp): Promise<void> => {
      await assert.rejects(bed.attach("a", choice), { kind: "internal", message });
      assert.deepEqual(bed.volumeNames(), []);
    };
    await refused(
      { binds: { values: ["file:/etc/passwd"] } },
      /^source .*\/etc\/passwd is not directory$/,
    );
    await refused(
      { volumes: ["/etc/passwd"] },
      /^cannot mount volume over existing file, file exists .*\/etc\/passwd$/,
    );
    await refused({ volumes: ["/etc/passwd/x"] }, /^lstat .*\/etc\/passwd\/x: not a directory$/);
  });

  it("stay the directory that they were when they are filled, since others may have it mounted", async () => {
    await bed.attach("user", { binds: { values: ["used:/nowhere"] } });
    const files = bed.mountPoint("user", "/nowhere").source;
    const { ino } = statSync(files);
    await bed.attach("filler", { binds: { values: ["used:/data"] } });
    assert.deepEqual(readdirSync(files), ["hard", "link", "new", "old", "sub"]);
    const facts = statSync(files);
    assert.deepEqual([facts.ino, facts.uid, facts.mode & 0o7777], [ino, 33, 0o1777]);
    assert.deepEqual(readdirSync(path.dirname(files)), ["_data"]);
  });

  it("have all of a whole copy after a crash, and nothing of another one", async () => {
    await bed.attach("c", { binds: { values: ["whole:/nowhere", "other:/nothing"] } });
    const [whole, other] = ["/nowhere", "/nothing"].map((at) => bed.mountPoint("c", at).source);
    const folder = path.dirname(whole ?? "");
    mkdirSync(path.join(folder, "fill-whole/sub"), { recursive: true });
    writeFileSync(path.join(folder, "fill-whole/sub/left"), "");
    writeFileSync(path.join(folder, "fill-whole/moved"), "the image's");
    writeFileSync(path.join(folder, "_data/moved"), "the container's");
    mkdirSync(path.join(other ?? "", "../fill-17/sub"), { recursive: true });
    await bed.create().open();
    assert.deepEqual(readdirSync(folder), ["_data"]);
    assert.equal(readFileSync(path.join(folder, "_data/moved"), "utf8"), "the container's");
    assert.ok(existsSync(path.join(folder, "_data/sub/left")));
    assert.deepEqual(readdirSync(path.join(other ?? "", "..")), ["_data"]);
    assert.deepEqual(readdirSync(other ?? ""), []);
  });

  it("have all of a whole copy for a subpath after a crash, unless something else is there now", async () => {
    await bed.attach("c", { binds: { values: ["used:/nowhere"] } });
    const files = bed.mountPoint("c", "/nowhere").source;
    const folder = path.dirname(files);
    const crash = async (subpath: string): Promise<void> => {
      mkdirSync(path.join(folder, "fill-below/files/sub"), { recursive: true });
      writeFileSync(path.join(folder, "fill-below/files/sub/left"), "");
      writeFileSync(path.join(folder, "fill-below/files/moved"), "the image's");
      chmodSync(path.join(folder, "fill-below/files"), 0o751);
      writeFileSync(path.join(folder, "fill-below/at"), subpath);
      await bed.create().open();
      assert.deepEqual(readdirSync(folder), ["_data"]);
    };
    mkdirSync(path.join(files, "deep/er"), { recursive: true });
    symlinkSync("deep", path.join(files, "link"));
    symlinkSync("/etc", path.join(files, "out"));
    writeFileSync(path.join(files, "deep/er/moved"), "the container's");
    await crash("link/er");
    assert.deepEqual(readdirSync(path.join(files, "deep/er")), ["moved", "sub"]);
    assert.equal(readFileSync(path.join(files, "deep/er/moved"), "utf8"), "the container's");
    assert.deepEqual(readdirSync(path.join(files, "deep/er/sub")), ["left"]);
    assert.equal(statSync(path.join(files, "deep/er")).mode & 0o777, 0o751);
    for (const elsewhere of ["gone", "out", "deep/er/moved"]) await crash(elsewhere);
    assert.deepEqual(readdirSync(files), ["deep", "link", "out"]);
    assert.equal(existsSync("/etc/sub"), false);
  });

  it("with driver options are filled where they are mounted, and let go of then", async () => {
    const device = path.join(bed.dir, "device");
    mkdirSync(device);
    const bound = { name: "bound", driver: "", labels: {} };
    await bed.volumes.create({ ...bound, options: { type: "none", o: "bind", device } });
    await bed.attach("a", { binds: { values: ["bound:/data"] } });
    assert.deepEqual(readdirSync(device).sort(), ["hard", "link", "new", "old", "sub"]);
    const top = statSync(device);
    assert.deepEqual([top.uid, top.gid, top.mode & 0o7777], [33, 34, 0o1777]);
    assert.deepEqual(readdirSync(path.join(bed.dir, "volumes/bound/_data")), []);
    // What it holds stays as it is.
    writeFileSync(path.join(device, "old"), "changed");
    await bed.attach("b", { binds: { values: ["bound:/data"] } });
    assert.equal(readFileSync(path.join(device, "old"), "utf8"), "changed");
  });

  it("with driver options are filled again when a crash has cut that short, with the same alone", async () => {
    const device = path.join(bed.dir, "device");
    mkdirSync(device);
    const options = { type: "none", o: "bind", device };
    await bed.volumes.create({ name: "bound", driver: "", labels: {}, options });
    const halfFilled = path.join(bed.dir, "volumes/bound/half-filled");
    const what = { layers: bed.image.lowerDirs, source: "/data", subpath: "" };
    writeFileSync(path.join(device, "old"), "o");
    writeFileSync(halfFilled, JSON.stringify(what));
    bed.volumes = bed.create();
    await bed.volumes.open();
    await bed.attach("a", { binds: { values: ["bound:/data"] } });
    assert.deepEqual(readdirSync(device).sort(), ["hard", "link", "new", "old", "sub"]);
    assert.equal(readFileSync(path.join(device, "old"), "utf8"), "old");
    assert.equal(existsSync(halfFilled), false);
    rmSync(path.join(device, "hard"));
    writeFileSync(halfFilled, JSON.stringify({ ...what, source: "/etc" }));
    await bed.attach("b", { binds: { values: ["bound:/data"] } });
    assert.equal(existsSync(path.join(device, "hard")), false);
    assert.equal(existsSync(halfFilled), false, "another image's files are no part of it");
  });

  it("with driver options that cannot be mounted refuse a container that they are to be filled for", async () => {
    const missing = { type: "none", o: "bind", device: path.join(bed.dir, "missing") };
    await bed.volumes.create({ name: "gone", driver: "", labels: {}, options: missing });
    await assert.rejects(bed.attach("a", { binds: { values: ["gone:/data"] } }), {
      kind: "internal",
      message:
        /^failed to populate volume: error while mounting volume '.*': failed to mount local/,
    });
    await bed.attach("b", { binds: { values: ["gone:/nowhere"] } });
  });
});
