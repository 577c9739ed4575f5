/** Volumes over real files, mounts and the unpack program (root is needed). */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { silentLogger } from "@gantry/logging";
import { loadKernel, nativeArtifact } from "@gantry/native";
import { untilPasses } from "@gantry/testkit/until-passes";
import type { LocalVolumes } from "../src/app/volume/local-volumes.ts";
import { createVolumes } from "../src/compose-volumes.ts";
import type { ImageRootfs, MountedContainer, MountPointView } from "../src/ports/volumes.ts";
import { MemoryStore } from "./memory-store.ts";

const signal = new AbortController().signal;
let dir: string;
let store: MemoryStore;
let volumes: LocalVolumes;
let image: ImageRootfs;

const shown = { id: "sha256:1", manifestDigest: "sha256:2" };

function create(): LocalVolumes {
  return createVolumes({
    dataDir: dir,
    kernel: loadKernel(),
    store,
    images: { open: () => Promise.resolve({ ...image, image: shown }) },
    directory: { resolveId: (reference) => reference },
    unpackProgram: nativeArtifact("unpack"),
    logger: silentLogger(),
  });
}

/** Two layers: `upper` over `lower`. */
function makeImage(): ImageRootfs {
  const upper = path.join(dir, "upper");
  const lower = path.join(dir, "lower");
  mkdirSync(path.join(lower, "data/sub"), { recursive: true });
  mkdirSync(path.join(lower, "etc"));
  mkdirSync(path.join(upper, "data"), { recursive: true });
  mkdirSync(path.join(upper, "empty"));
  writeFileSync(path.join(lower, "etc/passwd"), "the image's");
  writeFileSync(path.join(lower, "data/old"), "old");
  writeFileSync(path.join(lower, "data/sub/owned"), "x");
  chownSync(path.join(lower, "data/sub/owned"), 1000, 1001);
  chmodSync(path.join(lower, "data/sub/owned"), 0o4750);
  writeFileSync(path.join(upper, "data/new"), "new");
  linkSync(path.join(upper, "data/new"), path.join(upper, "data/hard"));
  symlinkSync("/etc/passwd", path.join(upper, "data/link"));
  chownSync(path.join(upper, "data"), 33, 34);
  chmodSync(path.join(upper, "data"), 0o1777);
  symlinkSync("/etc", path.join(upper, "outside"));
  symlinkSync("../../../../../../data", path.join(upper, "climbing"));
  return { lowerDirs: [upper, lower] };
}

function attach(id: string, choice: Partial<MountedContainer>): Promise<unknown> {
  const nothing = { volumes: [], mounts: [], tmpfs: {}, volumeDriver: "", workingDir: "" };
  return volumes.attach({ id, ...nothing, ...choice }, image, "", signal);
}

function mountPoint(id: string, destination: string): MountPointView {
  const found = volumes.mountPoints(id).find((each) => each.destination === destination);
  return found ?? assert.fail(`no mount at ${destination}`);
}

function actions(): string[] {
  return store.events.map(({ action }) => action);
}

function volumeNames(): string[] {
  return readdirSync(path.join(dir, "volumes"));
}

describe("volumes", () => {
  beforeEach(async () => {
    dir = mkdtempSync("/tmp/gantry-volumes-");
    store = new MemoryStore();
    image = makeImage();
    volumes = create();
    await volumes.open();
  });
  afterEach(async () => {
    await volumes.teardownHost();
    assert.ok(
      !readFileSync("/proc/self/mountinfo", "utf8").includes(dir),
      "a mount was left behind",
    );
    rmSync(dir, { recursive: true, force: true });
  });

  it("are filled from the merged layers of the image, with owners, modes and links", async () => {
    await attach("a", { volumes: ["/data"] });
    const { source, name, mode, rw, propagation } = mountPoint("a", "/data");
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
    await attach("a", { volumes: ["/outside", "/climbing"] });
    const { source } = mountPoint("a", "/outside");
    assert.equal(readFileSync(path.join(source, "passwd"), "utf8"), "the image's");
    assert.ok(existsSync(path.join(mountPoint("a", "/climbing").source, "new")));
  });

  it("stay empty with nocopy, for a path that is not there, and when they hold something", async () => {
    await volumes.create({ name: "used", driver: "", options: {}, labels: {} });
    writeFileSync(path.join(dir, "volumes/used/_data/mine"), "");
    await attach("a", {
      binds: {
        values: ["plain:/data:nocopy", "file:/etc/passwd:nocopy", "nowhere:/nowhere", "used:/etc"],
      },
    });
    const files = (destination: string): string[] =>
      readdirSync(mountPoint("a", destination).source);
    assert.deepEqual(files("/data"), []);
    assert.deepEqual(files("/etc/passwd"), []);
    assert.deepEqual(files("/nowhere"), []);
    assert.deepEqual(files("/etc"), ["mine"]);
  });

  it("are not put over a file of the image, and the words say who asked", async () => {
    const refused = async (choice: Partial<MountedContainer>, message: RegExp): Promise<void> => {
      await assert.rejects(attach("a", choice), { kind: "internal", message });
      assert.deepEqual(volumeNames(), []);
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
    await attach("user", { binds: { values: ["used:/nowhere"] } });
    const files = mountPoint("user", "/nowhere").source;
    const { ino } = statSync(files);
    await attach("filler", { binds: { values: ["used:/data"] } });
    assert.deepEqual(readdirSync(files), ["hard", "link", "new", "old", "sub"]);
    const facts = statSync(files);
    assert.deepEqual([facts.ino, facts.uid, facts.mode & 0o7777], [ino, 33, 0o1777]);
    assert.deepEqual(readdirSync(path.dirname(files)), ["_data"]);
  });

  it("have all of a whole copy after a crash, and nothing of another one", async () => {
    await attach("c", { binds: { values: ["whole:/nowhere", "other:/nothing"] } });
    const [whole, other] = ["/nowhere", "/nothing"].map((at) => mountPoint("c", at).source);
    const folder = path.dirname(whole ?? "");
    mkdirSync(path.join(folder, "fill-whole/sub"), { recursive: true });
    writeFileSync(path.join(folder, "fill-whole/sub/left"), "");
    writeFileSync(path.join(folder, "fill-whole/moved"), "the image's");
    writeFileSync(path.join(folder, "_data/moved"), "the container's");
    mkdirSync(path.join(other ?? "", "../fill-17/sub"), { recursive: true });
    await create().open();
    assert.deepEqual(readdirSync(folder), ["_data"]);
    assert.equal(readFileSync(path.join(folder, "_data/moved"), "utf8"), "the container's");
    assert.ok(existsSync(path.join(folder, "_data/sub/left")));
    assert.deepEqual(readdirSync(path.join(other ?? "", "..")), ["_data"]);
    assert.deepEqual(readdirSync(other ?? ""), []);
  });

  it("have all of a whole copy for a subpath after a crash, unless something else is there now", async () => {
    await attach("c", { binds: { values: ["used:/nowhere"] } });
    const files = mountPoint("c", "/nowhere").source;
    const folder = path.dirname(files);
    const crash = async (subpath: string): Promise<void> => {
      mkdirSync(path.join(folder, "fill-below/files/sub"), { recursive: true });
      writeFileSync(path.join(folder, "fill-below/files/sub/left"), "");
      writeFileSync(path.join(folder, "fill-below/files/moved"), "the image's");
      chmodSync(path.join(folder, "fill-below/files"), 0o751);
      writeFileSync(path.join(folder, "fill-below/at"), subpath);
      await create().open();
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
    const device = path.join(dir, "device");
    mkdirSync(device);
    const bound = { name: "bound", driver: "", labels: {} };
    await volumes.create({ ...bound, options: { type: "none", o: "bind", device } });
    await attach("a", { binds: { values: ["bound:/data"] } });
    assert.deepEqual(readdirSync(device).sort(), ["hard", "link", "new", "old", "sub"]);
    const top = statSync(device);
    assert.deepEqual([top.uid, top.gid, top.mode & 0o7777], [33, 34, 0o1777]);
    assert.deepEqual(readdirSync(path.join(dir, "volumes/bound/_data")), []);
    // What it holds stays as it is.
    writeFileSync(path.join(device, "old"), "changed");
    await attach("b", { binds: { values: ["bound:/data"] } });
    assert.equal(readFileSync(path.join(device, "old"), "utf8"), "changed");
  });

  it("with driver options are filled again when a crash has cut that short, with the same alone", async () => {
    const device = path.join(dir, "device");
    mkdirSync(device);
    const options = { type: "none", o: "bind", device };
    await volumes.create({ name: "bound", driver: "", labels: {}, options });
    const halfFilled = path.join(dir, "volumes/bound/half-filled");
    const what = { layers: image.lowerDirs, source: "/data", subpath: "" };
    writeFileSync(path.join(device, "old"), "o");
    writeFileSync(halfFilled, JSON.stringify(what));
    volumes = create();
    await volumes.open();
    await attach("a", { binds: { values: ["bound:/data"] } });
    assert.deepEqual(readdirSync(device).sort(), ["hard", "link", "new", "old", "sub"]);
    assert.equal(readFileSync(path.join(device, "old"), "utf8"), "old");
    assert.equal(existsSync(halfFilled), false);
    rmSync(path.join(device, "hard"));
    writeFileSync(halfFilled, JSON.stringify({ ...what, source: "/etc" }));
    await attach("b", { binds: { values: ["bound:/data"] } });
    assert.equal(existsSync(path.join(device, "hard")), false);
    assert.equal(existsSync(halfFilled), false, "another image's files are no part of it");
  });

  it("with driver options that cannot be mounted refuse a container that they are to be filled for", async () => {
    const missing = { type: "none", o: "bind", device: path.join(dir, "missing") };
    await volumes.create({ name: "gone", driver: "", labels: {}, options: missing });
    await assert.rejects(attach("a", { binds: { values: ["gone:/data"] } }), {
      kind: "internal",
      message:
        /^failed to populate volume: error while mounting volume '.*': failed to mount local/,
    });
    await attach("b", { binds: { values: ["gone:/nowhere"] } });
  });

  it("show a subpath as dockerd finds it: by links inside, and never outside", async () => {
    await volumes.create({ name: "used", driver: "", options: {}, labels: {} });
    const files = path.join(dir, "volumes/used/_data");
    mkdirSync(path.join(files, "sub/deep"), { recursive: true });
    for (const [link, target] of [
      ["in", "sub"],
      ["up", "../../.."],
      ["outside", "/etc"],
      ["loop", "loop"],
    ] as const)
      symlinkSync(target, path.join(files, link));
    writeFileSync(path.join(files, "file"), "");
    const start = async (subpath: string): Promise<readonly string[]> => {
      const volumeOptions = {
        noCopy: false,
        labels: {},
        driverName: "",
        driverOptions: {},
        subpath,
      };
      const mount = { type: "volume", source: "used", target: "/m", readOnly: false };
      await attach("a", { mounts: [{ ...mount, consistency: "", volumeOptions }] });
      const { mounts } = await volumes.prepareStart("a", signal);
      volumes.release("a");
      return mounts[0]?.options ?? [];
    };
    assert.ok((await start("in/deep")).includes("x-gantry.subpath=sub/deep"));
    const escapes = (subpath: string): object => ({
      kind: "invalid_argument",
      message: `path concatenation escapes the base directory, base: ${files}, subpath: ${subpath}`,
    });
    await assert.rejects(start("up"), escapes("up"));
    await assert.rejects(start("outside"), escapes("outside"));
    await assert.rejects(start("in/nope"), {
      kind: "not_found",
      message: `cannot access path ${files}/in/nope: lstat ${files}/sub/nope: no such file or directory`,
    });
    const combined = (name: string): string =>
      `error while resolving symlinks in combined path "${files}/${name}": `;
    await assert.rejects(start("loop"), {
      kind: "internal",
      message: `${combined("loop")}EvalSymlinks: too many links`,
    });
    await assert.rejects(start("file/x"), {
      kind: "internal",
      message: `${combined("file/x")}not a directory`,
    });
  });

  it("leave nothing behind when the container is refused", async () => {
    const asked = { binds: { values: ["fresh:/data"] } };
    const mounts = [
      { type: "bind", source: "/nope", target: "/x", readOnly: false, consistency: "" },
    ];
    await assert.rejects(attach("a", { ...asked, mounts }), {
      kind: "invalid_argument",
      message: 'invalid mount config for type "bind": bind source path does not exist: /nope',
    });
    const driverOptions = { type: "tmpfs" };
    const volumeOptions = { noCopy: false, labels: {}, driverName: "", driverOptions, subpath: "" };
    const wrong = [
      {
        type: "volume",
        source: "v2",
        target: "/y",
        readOnly: false,
        consistency: "",
        volumeOptions,
      },
    ];
    await assert.rejects(
      attach("a", { ...asked, mounts: wrong }),
      /missing required option: "device"/,
    );
    assert.deepEqual(volumeNames(), []);
    assert.deepEqual(volumes.mountPoints("a"), []);
  });

  it("refuse the same destination twice", async () => {
    const binds = { values: ["v1:/data", "v2:/data/"] };
    await assert.rejects(attach("a", { binds }), { message: "Duplicate mount point: /data" });
    await assert.rejects(attach("a", { binds: { values: ["v1:/t"] }, tmpfs: { "/t": "" } }), {
      message: "Duplicate mount point: /t",
    });
  });

  it("become mounts of the runtime-spec, outer ones first", async () => {
    const shared = path.join(dir, "shared");
    mkdirSync(shared);
    execFileSync("mount", ["-t", "tmpfs", "shared", shared]);
    using _ = {
      [Symbol.dispose]: () => {
        execFileSync("umount", [shared]);
      },
    };
    execFileSync("mount", ["--make-shared", shared]);
    const host = path.join(shared, "made/by/bind");
    await attach("a", {
      binds: { values: [`${host}:/data/inner:ro,rshared`, "named:/data"] },
      tmpfs: { "/t": "size=1m" },
      volumes: ["/data"],
    });
    assert.ok(!existsSync(host));
    const prepared = await volumes.prepareStart("a", signal);
    assert.ok(statSync(host).isDirectory());
    assert.equal(prepared.rootfsPropagation, "rshared");
    assert.deepEqual(prepared.mounts, [
      {
        destination: "/data",
        type: "bind",
        source: path.join(dir, "volumes/named/_data"),
        options: ["rbind", "rslave"],
      },
      {
        destination: "/t",
        type: "tmpfs",
        source: "tmpfs",
        options: ["rprivate", "noexec", "nosuid", "nodev", "size=1m"],
      },
      {
        destination: "/data/inner",
        type: "bind",
        source: host,
        options: ["rbind", "rshared", "ro", "x-gantry.rro-if-possible"],
      },
    ]);
    assert.deepEqual(prepared.events, [
      {
        type: "volume",
        action: "mount",
        actorId: "named",
        attributes: {
          container: "a",
          destination: "/data",
          driver: "local",
          propagation: "",
          "read/write": "true",
        },
      },
    ]);
  });

  it("with driver options are mounted for as long as a container uses them", async () => {
    const options = { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=5" };
    await volumes.create({ name: "memory", driver: "local", options, labels: {} });
    for (const id of ["a", "b"]) {
      await attach(id, { binds: { values: ["memory:/m"] } });
      await volumes.prepareStart(id, signal);
    }
    const uid = (): number => statSync(path.join(dir, "volumes/memory/_data")).uid;
    assert.equal(uid(), 5);
    assert.equal(volumes.release("a").length, 1);
    assert.equal(volumes.release("a").length, 0);
    assert.equal(uid(), 5);
    volumes.release("b");
    await untilPasses(() => {
      assert.equal(uid(), 0);
    });
  });

  it("show images read-only until the container ends", async () => {
    const mounts = [
      { type: "image", source: "busybox", target: "/img", readOnly: false, consistency: "" },
    ];
    await attach("a", { mounts });
    const [mount] = (await volumes.prepareStart("a", signal)).mounts;
    assert.ok(existsSync(path.join(mount?.source ?? "", "data/old")));
    assert.ok(mount?.options.includes("ro"));
    volumes.release("a");
    await untilPasses(() => {
      assert.ok(!existsSync(mount?.source ?? ""));
    });
  });

  it("are taken from other containers, read-only where that is asked, and stay with their owner", async () => {
    await attach("a", { volumes: ["/data"], binds: { values: ["named:/n"] } });
    await attach("b", { volumesFrom: { values: ["a:ro"] }, volumes: ["/data"] });
    assert.equal(mountPoint("b", "/data").name, mountPoint("a", "/data").name);
    assert.equal(mountPoint("b", "/n").rw, false);
    await volumes.detach("b", true);
    assert.equal(volumeNames().length, 2);
  });

  it("without a name go with their container when that is asked, others never", async () => {
    await attach("a", { volumes: ["/data"], binds: { values: ["named:/n"] } });
    await assert.rejects(volumes.remove("named", false), {
      kind: "conflict",
      message: "remove named: volume is in use - [a]",
    });
    await volumes.detach("a", true);
    assert.deepEqual(volumeNames(), ["named"]);
    await volumes.remove("named", false);
    await assert.rejects(volumes.remove("named", false), { message: "get named: no such volume" });
    await volumes.remove("named", true);
    assert.deepEqual(actions(), ["create", "create", "destroy", "destroy"]);
  });

  it("stay, with their files, when the removal of the record is refused", async () => {
    await volumes.create({ name: "kept", driver: "", options: {}, labels: {} });
    writeFileSync(path.join(dir, "volumes/kept/_data/mine"), "");
    const full = new Error("the disk is full");
    store.refuseNext = full;
    await assert.rejects(volumes.remove("kept", false), full);
    assert.equal(volumes.inspect("kept").record.name, "kept");
    assert.ok(existsSync(path.join(dir, "volumes/kept/_data/mine")));
    store.refuseNext = full;
    await assert.rejects(
      volumes.create({ name: "new", driver: "", options: {}, labels: {} }),
      full,
    );
    assert.throws(() => volumes.inspect("new"), { message: "get new: no such volume" });
    assert.deepEqual(volumeNames(), ["kept"]);
    assert.deepEqual(actions(), ["create"]);
  });

  it("are pruned by Docker's rules", async () => {
    const make = (name: string, labels = {}, options = {}) =>
      volumes.create({ name, driver: "", options, labels });
    await make("named", { keep: "1" });
    await make("optioned", {}, { type: "tmpfs", device: "tmpfs" });
    await make("");
    const names = async (all: boolean): Promise<number> =>
      (await volumes.prune(new Map(), all, signal)).deleted.length;
    assert.equal(await names(false), 1);
    assert.deepEqual(
      (await volumes.prune(new Map([["label!", ["keep=1"]]]), true, signal)).deleted,
      [],
    );
    assert.equal(await names(true), 1);
    assert.deepEqual(volumeNames(), ["optioned"]);
  });

  it("are listed by filters, and measured when that is asked", async () => {
    await attach("a", { binds: { values: ["used:/data"] } });
    await volumes.create({ name: "idle", driver: "", options: {}, labels: { x: "1" } });
    const list = async (key: string, value: string): Promise<string[]> =>
      (await volumes.list(new Map([[key, [value]]]), false, signal)).map(
        ({ record }) => record.name,
      );
    assert.deepEqual(await list("dangling", "true"), ["idle"]);
    assert.deepEqual(await list("label", "x=1"), ["idle"]);
    assert.deepEqual(await list("name", "us"), ["used"]);
    await assert.rejects(list("foo", "x"), { message: "invalid filter 'foo'" });
    const [measured] = await volumes.list(new Map([["name", ["used"]]]), true, signal);
    assert.equal(measured?.refCount, 1);
    assert.ok((measured?.sizeBytes ?? 0n) > 0n);
  });

  it("are adopted when the database is lost, and none is removed", async () => {
    await attach("a", { binds: { values: ["named:/data"] } });
    store = new MemoryStore();
    volumes = create();
    await volumes.open();
    assert.ok(existsSync(path.join(volumes.inspect("named").mountpoint, "new")));
  });

  it("of a container that a crash left half made are let go, but kept", async () => {
    await attach("gone", { binds: { values: ["named:/data"] } });
    volumes = create();
    await volumes.open();
    await volumes.reconcile(new Set(), new Set());
    assert.deepEqual(volumes.mountPoints("gone"), []);
    await volumes.remove("named", false);
  });
});

describe("sources of binds", () => {
  it("that the kernel cannot make are an error at once, in Docker's words", {
    timeout: 20_000,
  }, async () => {
    await attach("a", { binds: { values: ["/proc/nothing/x:/data"] } });
    await assert.rejects(volumes.prepareStart("a", signal), {
      message:
        "error while creating mount source path '/proc/nothing/x': mkdir /proc/nothing: no such file or directory",
    });
  });
});
