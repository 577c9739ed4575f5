/** kill -9 of container-service at each step of create, start, stop, cp and rm leaves no mount behind. */
import assert from "node:assert/strict";
import { existsSync, globSync, watch } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit/eventually";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
/** Tells container-service at which step to die. */
let failpoint: string;
before(async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "gantry-mounts-"));
  failpoint = path.join(folder, "step");
  engine = await TestEngine.start({ env: { GANTRY_FAILPOINT: `file:${failpoint}` } });
  await engine.docker(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory"]);
  // Two layers: a view of them has to be mounted.
  const id = await engine.docker(["create", "busybox", "true"]);
  await writeFile(path.join(engine.root, "file"), "x");
  await engine.docker(["cp", path.join(engine.root, "file"), `${id}:/home/file`]);
  await engine.docker(["commit", id, "layered"]);
  await engine.docker(["rm", id]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(path.dirname(failpoint), { recursive: true });
});

const name = "victim";
const created = (): string[] => [
  ...["create", "--name", name, "-v", "memory:/m", "-v", "filled:/home", "-v", "/nameless"],
  ...["-v", `${engine.root}/made:/b`, "--tmpfs", "/t", "--ipc", "shareable"],
  ...["--mount", "type=image,src=layered,dst=/i", "layered", "sleep", "1000"],
];

/** What each operation needs to have happened before, and itself. */
interface Operation {
  readonly first: readonly (() => string[])[];
  readonly run: () => string[];
}
const start = (): string[] => ["start", name];
const operations: Readonly<Record<string, Operation>> = {
  create: { first: [], run: created },
  start: { first: [created], run: start },
  stop: { first: [created, start], run: () => ["stop", "-t", "0", name] },
  rm: { first: [created], run: () => ["rm", "-v", name] },
  "rm -f": { first: [created, start], run: () => ["rm", "-f", "-v", name] },
  cp: {
    first: [created],
    run: () => ["cp", path.join(engine.root, "file"), `${name}:/home/copied`],
  },
};

async function hostMounts(): Promise<string[]> {
  return (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(engine.root));
}

/** What only exists while something is under way. */
function workFolders(): string[] {
  const data = path.join(engine.dataRoot, "container-service");
  return [
    ...globSync(path.join(data, "image-mounts/*")),
    ...globSync(path.join(data, "volumes/*/fill-*")),
    ...globSync(path.join(data, "volumes/.trash/*")),
    ...globSync(path.join(engine.runRoot, "container-service/roots/*")),
  ];
}

/** Runs an operation that dies at that step. False: it has fewer, and is done. */
async function diesAt(step: number, { first, run }: Operation): Promise<boolean> {
  for (const args of first) await engine.docker(args());
  const [before] = await engine.pidsOf("container-service");
  await writeFile(failpoint, `step:${String(step)}`);
  const ran = await engine.tryDocker(run());
  if (existsSync(failpoint) && ran.code === 0) {
    await rm(failpoint, { force: true });
    // What it does behind its answer has steps of its own.
    if ((await engine.pidsOf("container-service"))[0] === before) return false;
  }
  await eventually(async () => {
    const [now] = await engine.pidsOf("container-service");
    return now !== undefined && now !== before;
  });
  if (step % crashesInARow === 0) {
    await engine.kill9("supervisor");
    await engine.startSupervisor();
  }
  await engine.ready();
  return true;
}

/** A supervisor waits longer and longer for what ends again and again: a new one has patience. */
const crashesInARow = 4;

/** A volume with options, a view of an image, and memory to share with others. */
const mountsOfRunning = 3;

async function isRunning(): Promise<boolean> {
  const seen = await engine.tryDocker(["inspect", "-f", "{{.State.Running}}", name]);
  return seen.stdout.trim() === "true";
}

async function nothingIsLeft(): Promise<void> {
  await eventually(async () => {
    assert.deepEqual(await hostMounts(), []);
    assert.deepEqual(workFolders(), []);
    return true;
  });
}

function isNameless(volume: string): boolean {
  return /^[0-9a-f]{64}$/.test(volume);
}

async function volumes(): Promise<string[]> {
  const names = (await engine.docker(["volume", "ls", "-q"])).split("\n");
  return names.filter((each) => each !== "");
}

/** Every step of an operation in `npm run test:deep`, each third one otherwise. */
const stride = process.env["GANTRY_TEST_DEEP"] === "1" ? 1 : 3;

describe("kill -9 of container-service", () => {
  for (const [what, operation] of Object.entries(operations)) {
    it(`at steps of ${what} leaves the mounts of what runs, and rm leaves none`, async () => {
      let steps = 0;
      for (let step = 1; await diesAt(step, operation); step += stride) {
        steps = step;
        await eventually(async () => {
          const wanted = (await isRunning()) ? mountsOfRunning : 0;
          assert.equal((await hostMounts()).length, wanted, (await hostMounts()).join("\n"));
          return true;
        });
        if ((await engine.tryDocker(["inspect", name])).code === 0) {
          await engine.docker(["rm", "-f", "-v", name]);
          assert.deepEqual((await volumes()).filter(isNameless), []);
        }
        await nothingIsLeft();
        // The volumes of a container that was never there stay.
        await engine.docker(["volume", "prune", "-f"]);
        const named = await volumes();
        assert.deepEqual(
          named.filter((each) => each !== "filled"),
          ["memory"],
        );
        if (named.includes("filled")) await engine.docker(["volume", "rm", "filled"]);
      }
      assert.ok(steps > 3, `only ${String(steps)} steps`);
      await engine.docker(["rm", "-f", "-v", name]);
      await engine.docker(["volume", "rm", "-f", "filled"]);
      await nothingIsLeft();
    });
  }

  it("in the middle of filling a subpath of a volume from the image leaves it filled wholly", async () => {
    const files = path.join(engine.root, "many");
    const names = Array.from({ length: 2000 }, (_, index) => `file${String(index)}`).toSorted();
    await mkdir(files);
    for (const each of names) await writeFile(path.join(files, each), "");
    await engine.docker(["create", "--name", name, "busybox", "true"]);
    await engine.docker(["cp", files, `${name}:/many`]);
    await engine.docker(["commit", name, "many"]);
    await engine.docker(["rm", name]);
    await engine.docker(["volume", "create", "below"]);
    const volume = path.join(engine.dataRoot, "container-service/volumes/below");
    const place = path.join(volume, "_data/sub");
    await mkdir(place);
    const [pid = 0] = await engine.pidsOf("container-service");
    const watcher = watch(place, () => {
      watcher.close();
      process.kill(pid, "SIGKILL");
    });
    const mount = "type=volume,src=below,dst=/many,volume-subpath=sub";
    await engine.tryDocker(["create", "--name", name, "--mount", mount, "many", "true"]);
    await eventually(async () => {
      const [now] = await engine.pidsOf("container-service");
      return now !== undefined && now !== pid;
    });
    await engine.ready();
    assert.deepEqual((await readdir(place)).toSorted(), names);
    assert.deepEqual(await readdir(volume), ["_data"]);
    await engine.docker(["rm", "-f", name]);
    await engine.docker(["volume", "rm", "below"]);
  });

  it("while a container ran that has ended since lets go of what it held", async () => {
    await engine.docker(created());
    await engine.docker(start());
    assert.equal((await hostMounts()).length, mountsOfRunning);
    const pid = Number(await engine.docker(["inspect", "-f", "{{.State.Pid}}", name]));
    await engine.kill9("container-service");
    process.kill(pid, "SIGKILL");
    await engine.ready();
    await eventually(async () => (await hostMounts()).length === 0);
    await engine.docker(["rm", "-v", name]);
  });
});
