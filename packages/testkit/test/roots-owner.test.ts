import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, rmSync, symlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, it, type TestContext } from "node:test";
import { eventually, findLeaks, openEngineRoots } from "@gantry/testkit";
import { cleanAbandoned } from "@gantry/testkit/abandoned-roots";
import { findHolders } from "@gantry/testkit/holders";
import { mountsBelow } from "@gantry/testkit/leaks";
import {
  caretakerOf,
  keeperFile,
  listRoots,
  type OwnedRoots,
  ownerFile,
  rootsPrefix,
} from "@gantry/testkit/roots-owner";
import { cleanEnvironment, run } from "@gantry/testkit/run";

const own = (name: string): string =>
  JSON.stringify(import.meta.resolve(name === "" ? "@gantry/testkit" : `@gantry/testkit/${name}`));

/** Opens roots, makes one of everything that an engine leaves, and tells where. */
const littering = `
  import { spawn } from "node:child_process";
  import { existsSync, mkdirSync } from "node:fs";
  import { openEngineRoots } from ${own("")};
  import { mustRun } from ${own("run")};
  async function litter() {
    const { path, env, config } = await openEngineRoots();
    const { cgroupParent, linkPrefix, nftTable, dataRoot } = config;
    await mustRun(["mount", "-t", "tmpfs", "none", dataRoot]);
    await mustRun(["ip", "link", "add", linkPrefix + "0", "type", "bridge"]);
    await mustRun(["nft", "add", "table", "inet", nftTable]);
    const sleeper = spawn("sh", ["-c", 'exec 3>"$0" && exec sleep 1000', dataRoot + "/file"], { detached: true, stdio: "ignore" });
    sleeper.unref();
    const parent = existsSync("/sys/fs/cgroup/freezer") ? "/sys/fs/cgroup/freezer/" : "/sys/fs/cgroup/";
    mkdirSync(parent + cgroupParent + "/below", { recursive: true });
    await mustRun(["sh", "-c", "echo $0 > $1/cgroup.procs", String(sleeper.pid), parent + cgroupParent + "/below"]);
    console.log(JSON.stringify({ root: path, env }));
  }
`;

const node = [process.execPath, "--disable-warning=ExperimentalWarning"];

/** Runs `program` until it has told where its things are. */
async function startNode(t: TestContext, program: string, ...options: string[]) {
  const [exec = "", ...args] = node;
  const child = spawn(exec, [...args, ...options, "--input-type=module", "-e", program], {
    // Without what node:test tells its own children.
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface(child.stdout)) {
    if (/^[/{]/.test(line)) return { child, told: line };
  }
  throw new Error("it told nothing");
}

async function leftOf({ root, env }: OwnedRoots): Promise<string[]> {
  const instance = env["GANTRY_INSTANCE"] ?? "";
  const names = { linkPrefix: `gtry${instance}`, nftTable: `gantry_${instance}` };
  const leaks = await findLeaks({ root, cgroupParent: `gantry-${instance}`, ...names });
  return [
    ...leaks,
    ...[root, ownerFile(root), keeperFile(root)].filter((each) => existsSync(each)),
  ];
}

async function untilClean(owned: OwnedRoots): Promise<void> {
  await eventually(async () => {
    assert.deepEqual(await leftOf(owned), []);
    return true;
  });
}

describe("the roots of all tests", () => {
  it("are listed also while an owner removes its file", (t) => {
    // Listed, and not there when it is read.
    const gone = ownerFile(`${rootsPrefix}gone-${String(process.pid)}`);
    symlinkSync("nowhere", gone);
    t.after(() => {
      rmSync(gone);
    });
    assert.ok(!listRoots().some(({ root }) => ownerFile(root) === gone));
  });
});

describe("an engine's roots", () => {
  it("leave nothing when they are closed", async () => {
    const roots = await openEngineRoots();
    // We leave ourselves out.
    assert.equal(caretakerOf(roots.path), "keeper");
    await roots.close();
    await roots.close();
    assert.deepEqual(await leftOf({ root: roots.path, env: roots.env }), []);
  });

  it("are cleaned when their owner is killed", async (t) => {
    const { child, told } = await startNode(
      t,
      `${littering} await litter(); setInterval(() => 1, 1e6);`,
    );
    const owned = JSON.parse(told) as OwnedRoots;
    assert.equal(caretakerOf(owned.root), "owner");
    assert.ok((await leftOf(owned)).length >= 8, (await leftOf(owned)).join("\n"));
    child.kill("SIGKILL");
    await untilClean(owned);
  });

  it("are cleaned when a name pattern matches no test, for which node:test does not wait for `before`", async (t) => {
    const program = `${littering}
      import { before, it } from "node:test";
      before(litter);
      it("is a test", () => undefined);`;
    const { told } = await startNode(t, program, "--test-name-pattern=other");
    await untilClean(JSON.parse(told) as OwnedRoots);
  });

  it("are seen as abandoned when owner and keeper are killed, and can be cleaned then", async (t) => {
    const { child, told } = await startNode(
      t,
      `${littering} await litter(); setInterval(() => 1, 1e6);`,
    );
    const owned = JSON.parse(told) as OwnedRoots;
    for (const { pid } of findHolders(keeperFile(owned.root))) process.kill(pid, "SIGKILL");
    child.kill("SIGKILL");
    await eventually(() => caretakerOf(owned.root) === "nobody");
    await cleanAbandoned(owned);
    assert.deepEqual(await leftOf(owned), []);
  });

  it("are not cleaned by force when a name of theirs may be another engine's", async () => {
    await using roots = await openEngineRoots();
    const env = { ...roots.env, GANTRY_CGROUP_PARENT: "gantry" };
    await assert.rejects(cleanAbandoned({ root: roots.path, env }), /may be somebody else's/);
    assert.ok((await readFile(ownerFile(roots.path), "utf8")).includes(roots.path));
  });
});

describe("a loop file system", () => {
  it("is thawed and unmounted when its owner is killed", async (t) => {
    const program = `
      import { openLoopFilesystem } from ${own("loop-filesystem")};
      const disk = await openLoopFilesystem(64 * 2 ** 20);
      await disk.freeze();
      console.log(disk.path);
      setInterval(() => 1, 1e6);`;
    const { child, told } = await startNode(t, program);
    const writer = run(["touch", path.join(told, "file")]);
    child.kill("SIGKILL");
    await writer;
    await eventually(() => !existsSync(path.dirname(told)));
    assert.deepEqual(mountsBelow(told), []);
  });
});
