/** What is mounted where: several mounts at one place, subpaths that are filled, working directories; as a dockerd 28.5 does it. */
import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { ask } from "../src/http.ts";
import { imageWithData, useVolumeBed } from "../src/volume-bed.ts";

const bed = useVolumeBed();

/** Creates a container by the API; status and message of the answer. */
async function create(body: object): Promise<{ status: number; message: string }> {
  const answer = await ask(bed.engine, {
    method: "POST",
    path: "/v1.51/containers/create?name=made",
    body: { Image: imageWithData, ...body },
  });
  const { message = "" } = JSON.parse(answer.body) as { message?: string };
  return { status: answer.status, message };
}

const subpath = (volume: string, below: string, target = "/data"): string =>
  `type=volume,src=${volume},dst=${target},volume-subpath=${below}`;

describe("a subpath of a volume", () => {
  const inVolume = async (volume: string, script: string): Promise<string> =>
    await bed.run("-v", `${volume}:/v`, "busybox", "sh", "-c", `cd /v && ${script}`);

  it("is filled from the image while it is empty, with what the directory is like", async () => {
    await inVolume("filled", "mkdir sub kept && touch kept/own");
    const list = ["find", "/data", "-exec", "stat", "-c", "%n %a %u:%g", "{}", "+"];
    const expected = "/data 750 1000:1001\n/data/file 640 1000:1001\n/data/link 777 0:0";
    const sorted = async (...args: string[]): Promise<string> =>
      (await bed.run(...args)).split("\n").sort().join("\n");
    const mount = ["--mount", subpath("filled", "sub")];
    assert.equal(await sorted(...mount, imageWithData, ...list), expected);
    assert.equal(
      await inVolume("filled", "find . | sort"),
      ".\n./kept\n./kept/own\n./sub\n./sub/file\n./sub/link",
    );
    const kept = ["--mount", subpath("filled", "kept")];
    assert.equal(await bed.run(...kept, imageWithData, "ls", "/data"), "own");
    await inVolume("filled", "mkdir plain");
    const noCopy = ["--mount", `${subpath("filled", "plain")},volume-nocopy`];
    assert.equal(await bed.run(...noCopy, imageWithData, "ls", "/data"), "");
    await bed.removeVolumes();
  });

  it("that is missing is left to the start, one that leads out or is no directory refuses the container", async () => {
    await inVolume("odd", "touch file && ln -s /etc out && ln -s loop loop");
    const base = path.join(bed.engine.dataRoot, "container-service/volumes/odd/_data");
    const answers: Record<string, [number, string]> = {
      missing: [201, ""],
      out: [
        400,
        `failed to populate volume: path concatenation escapes the base directory, base: ${base}, subpath: out`,
      ],
      loop: [
        500,
        `failed to populate volume: error while resolving symlinks in combined path "${base}/loop": EvalSymlinks: too many links`,
      ],
      "file/x": [
        500,
        `failed to populate volume: error while resolving symlinks in combined path "${base}/file/x": not a directory`,
      ],
      file: [500, `open ${base}/file: not a directory`],
    };
    for (const [Subpath, [status, message]] of Object.entries(answers)) {
      const mount = { Type: "volume", Source: "odd", Target: "/data", VolumeOptions: { Subpath } };
      assert.deepEqual(await create({ HostConfig: { Mounts: [mount] } }), { status, message });
      // Where the image has nothing, nothing is looked at.
      if (status !== 201) {
        const Mounts = [{ ...mount, Target: "/nothing" }];
        assert.equal((await create({ HostConfig: { Mounts } })).status, 201);
      }
      await bed.docker("rm", "-v", "made");
    }
    await bed.removeVolumes();
  });
});

describe("a tmpfs of --tmpfs", () => {
  const inMade = async (HostConfig: object): Promise<{ mounted: string[]; listed: unknown[] }> => {
    const script = "grep ' /t ' /proc/self/mountinfo | sed 's/.* - //; s/ .*//'";
    const made = await create({ Cmd: ["sh", "-c", script], HostConfig });
    assert.deepEqual(made, { status: 201, message: "" });
    const mounted = (await bed.docker("start", "-a", "made")).split("\n");
    const mounts = await bed.mountsOf("made");
    const listed = mounts
      .filter(({ Destination }) => Destination === "/t")
      .map((mount) => mount["Type"]);
    await bed.docker("rm", "-v", "made");
    return { mounted, listed };
  };

  it("covers what another container or the long form has at its place", async () => {
    await bed.docker("create", "--name", "donor", "-v", "lent:/t", "busybox");
    const Tmpfs = { "/t": "" };
    const covered = { mounted: ["tmpfs"], listed: ["volume"] };
    assert.deepEqual(await inMade({ VolumesFrom: ["donor"], Tmpfs }), covered);
    const Mounts = [{ Type: "volume", Source: "lent", Target: "/t" }];
    assert.deepEqual(await inMade({ Mounts, Tmpfs }), covered);
    assert.deepEqual(await inMade({ Mounts: [{ Type: "tmpfs", Target: "/t" }], Tmpfs }), {
      mounted: ["tmpfs", "tmpfs"],
      listed: ["tmpfs"],
    });
    await bed.docker("rm", "donor");
    await bed.removeVolumes();
  });

  it("excludes a bind that is written alike; written otherwise it lies below", async () => {
    const Binds = ["vol:/t"];
    assert.deepEqual(await create({ HostConfig: { Binds, Tmpfs: { "/t": "" } } }), {
      status: 400,
      message: "Duplicate mount point: /t",
    });
    const { mounted, listed } = await inMade({ Binds, Tmpfs: { "/t/": "" } });
    assert.deepEqual([mounted.length, mounted[0], listed], [2, "tmpfs", ["volume"]]);
    await bed.removeVolumes();
  });
});

describe("a working directory", () => {
  it("that is a file refuses the container", async () => {
    for (const WorkingDir of ["/data/file", "/todata/file", "/etc/hosts"]) {
      assert.deepEqual(await create({ WorkingDir }), {
        status: 500,
        message: `Cannot mkdir: ${WorkingDir} is not a directory`,
      });
    }
    const { status, message } = await create({ WorkingDir: "/data/file/x/y" });
    assert.equal(status, 500);
    assert.match(message, /^lstat \/.*\/data\/file\/x: not a directory$/);
  });

  it("that is missing is made at once, where links of the image lead", async () => {
    await bed.docker("create", "--name", "made", "-w", "/todata/new/er", imageWithData);
    assert.equal(await bed.docker("diff", "made"), "C /data\nA /data/new\nA /data/new/er");
  });
});

it("an export makes no mount points in a container that never ran", async () => {
  await bed.docker("create", "--name", "made", "-v", "vol:/q/r", "busybox");
  await bed.docker("export", "-o", path.join(bed.engine.root, "made.tar"), "made");
  assert.equal(await bed.docker("diff", "made"), "");
  await bed.docker("rm", "made");
  await bed.removeVolumes();
});
