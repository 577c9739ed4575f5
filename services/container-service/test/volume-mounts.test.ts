/** Volumes, images and binds as mounts of containers (root is needed). */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { untilPasses } from "@gantry/testkit/until-passes";
import { useVolumes } from "./volume-bed.ts";

describe("volumes", () => {
  const bed = useVolumes();
  const { signal } = bed;

  it("show a subpath as dockerd finds it: by links inside, and never outside", async () => {
    await bed.volumes.create({ name: "used", driver: "", options: {}, labels: {} });
    const files = path.join(bed.dir, "volumes/used/_data");
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
      await bed.attach("a", { mounts: [{ ...mount, consistency: "", volumeOptions }] });
      const { mounts } = await bed.volumes.prepareStart("a", signal);
      bed.volumes.release("a");
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
    await assert.rejects(bed.attach("a", { ...asked, mounts }), {
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
      bed.attach("a", { ...asked, mounts: wrong }),
      /missing required option: "device"/,
    );
    assert.deepEqual(bed.volumeNames(), []);
    assert.deepEqual(bed.volumes.mountPoints("a"), []);
  });

  it("refuse the same destination twice", async () => {
    const binds = { values: ["v1:/data", "v2:/data/"] };
    await assert.rejects(bed.attach("a", { binds }), { message: "Duplicate mount point: /data" });
    await assert.rejects(bed.attach("a", { binds: { values: ["v1:/t"] }, tmpfs: { "/t": "" } }), {
      message: "Duplicate mount point: /t",
    });
  });

  it("become mounts of the runtime-spec, outer ones first", async () => {
    const shared = path.join(bed.dir, "shared");
    mkdirSync(shared);
    execFileSync("mount", ["-t", "tmpfs", "shared", shared]);
    using _ = {
      [Symbol.dispose]: () => {
        execFileSync("umount", [shared]);
      },
    };
    execFileSync("mount", ["--make-shared", shared]);
    const host = path.join(shared, "made/by/bind");
    await bed.attach("a", {
      binds: { values: [`${host}:/data/inner:ro,rshared`, "named:/data"] },
      tmpfs: { "/t": "size=1m" },
      volumes: ["/data"],
    });
    assert.ok(!existsSync(host));
    const prepared = await bed.volumes.prepareStart("a", signal);
    assert.ok(statSync(host).isDirectory());
    assert.equal(prepared.rootfsPropagation, "rshared");
    assert.deepEqual(prepared.mounts, [
      {
        destination: "/data",
        type: "bind",
        source: path.join(bed.dir, "volumes/named/_data"),
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
    assert.deepEqual(bed.volumes.mounted("a"), [
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
    await bed.volumes.create({ name: "memory", driver: "local", options, labels: {} });
    for (const id of ["a", "b"]) {
      await bed.attach(id, { binds: { values: ["memory:/m"] } });
      await bed.volumes.prepareStart(id, signal);
    }
    const uid = (): number => statSync(path.join(bed.dir, "volumes/memory/_data")).uid;
    assert.equal(uid(), 5);
    assert.equal(bed.volumes.release("a").length, 1);
    assert.equal(bed.volumes.release("a").length, 0);
    assert.equal(uid(), 5);
    bed.volumes.release("b");
    await untilPasses(() => {
      assert.equal(uid(), 0);
    });
  });

  it("show images read-only until the container ends", async () => {
    const mounts = [
      { type: "image", source: "busybox", target: "/img", readOnly: false, consistency: "" },
    ];
    await bed.attach("a", { mounts });
    const [mount] = (await bed.volumes.prepareStart("a", signal)).mounts;
    assert.ok(existsSync(path.join(mount?.source ?? "", "data/old")));
    assert.ok(mount?.options.includes("ro"));
    bed.volumes.release("a");
    await untilPasses(() => {
      assert.ok(!existsSync(mount?.source ?? ""));
    });
  });

  it("are taken from other containers, read-only where that is asked, and stay with their owner", async () => {
    await bed.attach("a", { volumes: ["/data"], binds: { values: ["named:/n"] } });
    await bed.attach("b", { volumesFrom: { values: ["a:ro"] }, volumes: ["/data"] });
    assert.equal(bed.mountPoint("b", "/data").name, bed.mountPoint("a", "/data").name);
    assert.equal(bed.mountPoint("b", "/n").rw, false);
    await bed.volumes.detach("b", true);
    assert.equal(bed.volumeNames().length, 2);
  });

  it("without a name go with their container when that is asked, others never", async () => {
    await bed.attach("a", { volumes: ["/data"], binds: { values: ["named:/n"] } });
    await assert.rejects(bed.volumes.remove("named", false), {
      kind: "conflict",
      message: "remove named: volume is in use - [a]",
    });
    await bed.volumes.detach("a", true);
    assert.deepEqual(bed.volumeNames(), ["named"]);
    await bed.volumes.remove("named", false);
    await assert.rejects(bed.volumes.remove("named", false), {
      message: "get named: no such volume",
    });
    await bed.volumes.remove("named", true);
    assert.deepEqual(bed.actions(), ["create", "create", "destroy", "destroy"]);
  });
});

describe("sources of binds", () => {
  const bed = useVolumes();

  it("that the kernel cannot make are an error at once, in Docker's words", {
    timeout: 20_000,
  }, async () => {
    await bed.attach("a", { binds: { values: ["/proc/nothing/x:/data"] } });
    await assert.rejects(bed.volumes.prepareStart("a", bed.signal), {
      message:
        "error while creating mount source path '/proc/nothing/x': mkdir /proc/nothing: no such file or directory",
    });
  });
});
