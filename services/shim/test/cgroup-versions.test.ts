/**
 * The brain on cgroup v2 alone and on v1 alone, also where the machine has both: cloning into the
 * cgroup or attaching to it, device program or rules, the one and the other freezer. Limits need
 * controllers, which only some machines have in v2.
 */
import assert from "node:assert/strict";
import { existsSync, globSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { silentLogger } from "@gantry/logging";
import type { RuntimeDeviceRule } from "@gantry/oci/runtime-spec";
import { type EngineRoots, eventually, openEngineRoots } from "@gantry/testkit";
import {
  type CgroupLayout,
  hierarchyPath,
  parseCgroupLayout,
  v1With,
} from "../src/compile/cgroup-layout.ts";
import { createShim, type ShimApi } from "../src/index.ts";
import { type Bundle, makeBundle, makeLower } from "./bundle.ts";
import { type EventLog, openEventLog } from "./event-log.ts";

const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");

function layoutOf(type: "cgroup" | "cgroup2"): CgroupLayout {
  const own = mounts.filter((line) => line.includes(` - ${type} `)).join("\n");
  const mounted = parseCgroupLayout(own, "").v2?.mountPoint;
  const controllers =
    mounted === undefined ? "" : readFileSync(path.join(mounted, "cgroup.controllers"), "utf8");
  return parseCgroupLayout(own, controllers);
}

const v1 = layoutOf("cgroup");
const v2 = layoutOf("cgroup2");

describe("on cgroup v2 alone", { skip: v2.v2 === undefined && "no cgroup v2 here" }, () => {
  versionSuite(v2, "2", v2.v2?.mountPoint ?? "", {
    file: "cgroup.events",
    frozen: /frozen 1/,
    thawed: /frozen 0/,
  });
});

describe("on cgroup v1 alone", { skip: v1.v1.length === 0 && "no cgroup v1 here" }, () => {
  const freezer = v1With(v1, "freezer")?.mountPoint ?? "";
  versionSuite(v1, "1", freezer, { file: "freezer.state", frozen: /FROZEN/, thawed: /THAWED/ });
});

interface FreezerWords {
  readonly file: string;
  readonly frozen: RegExp;
  readonly thawed: RegExp;
}

function versionSuite(
  layout: CgroupLayout,
  version: string,
  freezer: string,
  words: FreezerWords,
): void {
  let roots: EngineRoots;
  let shim: ShimApi;
  let events: EventLog;
  let lower: string;

  before(async () => {
    roots = await openEngineRoots();
    lower = await makeLower(roots.config.dataRoot);
    shim = createShim({
      runRoot: roots.config.runRoot,
      cacheDir: path.join(roots.config.dataRoot, "seccomp"),
      cgroupParent: roots.config.cgroupParent,
      cgroupLayout: layout,
      logger: silentLogger(),
    });
    events = openEventLog(shim);
  });

  after(async () => {
    events[Symbol.dispose]();
    await shim.close();
    await roots.close();
  });

  const launch = async (script: string, devices: RuntimeDeviceRule[]): Promise<Bundle> => {
    const bundle = await makeBundle(roots.config.dataRoot, lower, ["sh", "-c", script], {
      linux: { resources: { devices } },
    });
    await shim.launch(bundle.request);
    return bundle;
  };

  const log = (bundle: Bundle): string =>
    existsSync(bundle.logFile) ? readFileSync(bundle.logFile, "utf8") : "";

  const script =
    "mknod /tmp/none c 240 0 && (dd if=/tmp/none of=/dev/null count=0 2>&1; dd if=/dev/zero of=/dev/null count=1 2>/dev/null && echo zero)";

  it("takes a parent that an engine made just before it was killed, and had not set up", async () => {
    const parents = [...layout.v1, ...(layout.v2 === undefined ? [] : [layout.v2])].map((each) =>
      hierarchyPath(each, `/${roots.config.cgroupParent}`),
    );
    for (const parent of parents) mkdirSync(parent);
    const bundle = await launch("exit 3", []);
    assert.equal((await events.first(bundle.id, "exited")).exitCode, 3);
    await shim.delete({ id: bundle.id });
    if (layout.v2 === undefined) return;
    const enabled = readFileSync(path.join(parents.at(-1) ?? "", "cgroup.subtree_control"), "utf8");
    const missing = layout.v2Controllers.filter((each) => !enabled.split(/\s+/).includes(each));
    assert.deepEqual(missing, []);
  });

  it("keeps devices from a container, and lets the default ones through", async () => {
    const bundle = await launch(script, [{ allow: false, access: "rwm" }]);
    await events.first(bundle.id, "exited");
    assert.match(log(bundle), /none.*Operation not permitted/);
    assert.match(log(bundle), /zero/);
    await shim.delete({ id: bundle.id });
  });

  it("lets a device through that a rule allows", async () => {
    const rules = [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 240, minor: 0, access: "r" },
    ];
    const bundle = await launch(script, rules);
    await events.first(bundle.id, "exited");
    // Nobody has this device: the kernel gets as far as looking for its driver.
    assert.match(log(bundle), /No such device or address/);
    await shim.delete({ id: bundle.id });
  });

  it("freezes, thaws and kills, and leaves no folder", async () => {
    const bundle = await launch("while :; do sleep 0.05; done", [{ allow: true, access: "rwm" }]);
    await shim.pause({ id: bundle.id });
    const folder = path.join(freezer, roots.config.cgroupParent, bundle.id);
    const state = (): string => readFileSync(path.join(folder, words.file), "utf8");
    assert.match(state(), words.frozen);
    await shim.resume({ id: bundle.id });
    assert.match(state(), words.thawed);
    const stats = await shim.getStats({ id: bundle.id });
    assert.equal(stats.cgroupVersion, version);
    await shim.pause({ id: bundle.id });
    assert.deepEqual((await shim.kill({ id: bundle.id })).unkillablePids, []);
    assert.equal((await events.first(bundle.id, "exited")).exitCode, 137);
    await shim.delete({ id: bundle.id });
    await eventually(() => globSync(folder).length === 0);
  });
}
