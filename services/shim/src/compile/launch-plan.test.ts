import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { RuntimeSpec } from "@gantry/oci/runtime-spec";
import { LaunchPlanSchema, LaunchRequestSchema, StreamTicketSchema } from "@gantry/proto/shim";
import { parseCgroupLayout } from "./cgroup-layout.ts";
import { compileLaunchPlan, type LaunchContext } from "./launch-plan.ts";

const context: LaunchContext = {
  layout: parseCgroupLayout("1 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "memory"),
  cgroupParent: "gantry",
  parentCpuset: undefined,
  capabilityBound: (1n << 41n) - 1n,
  seccomp: undefined,
  nonce: new Uint8Array([1]),
  natsUrlPath: "/run/nats.url",
  tickets: [],
};

const process = { cwd: "/", args: ["true"] };
const base: RuntimeSpec = { ociVersion: "1.2.0", process, root: { path: "/root" } };

type Request = Exclude<MessageInitShape<typeof LaunchRequestSchema>, { $typeName: string }>;

function plan(
  spec: Partial<RuntimeSpec> = {},
  request: Request = {},
  changes: Partial<LaunchContext> = {},
) {
  const whole = create(LaunchRequestSchema, {
    id: "a",
    bundlePath: "/b",
    rootfs: { lowerDirs: ["/l"] },
    ...request,
  });
  return compileLaunchPlan({ ...base, ...spec }, whole, { ...context, ...changes });
}

describe("compileLaunchPlan", () => {
  it("is a message that can be sent", () => {
    assert.ok(toBinary(LaunchPlanSchema, create(LaunchPlanSchema, plan())).length > 0);
  });

  it("takes mount point and read-only from the bundle", () => {
    const { rootfs } = plan({ root: { path: "/m", readonly: true } });
    assert.deepEqual(
      [rootfs?.mountpoint, rootfs?.readonly, rootfs?.lowerDirs],
      ["/m", true, ["/l"]],
    );
    assert.equal(plan({}, { rootfs: { mountpoint: "/x" } }).rootfs?.mountpoint, "/x");
  });

  it("refuses what cannot be run", () => {
    const { process: _, ...without } = base;
    assert.throws(
      () =>
        compileLaunchPlan(without, create(LaunchRequestSchema, { id: "a", rootfs: {} }), context),
      /process is missing/,
    );
    assert.throws(
      () => compileLaunchPlan(base, create(LaunchRequestSchema, { id: "a" }), context),
      /rootfs is missing/,
    );
    assert.throws(() => plan({ root: { path: "relative" } }), /must be absolute/);
    assert.throws(() => plan({ process: { cwd: "/", args: [] } }), /no arguments/);
    assert.throws(
      () => plan({ process: { cwd: "here", args: ["x"] } }),
      /working directory here must be absolute/,
    );
    assert.throws(() => plan({ process: { cwd: "/", args: ["a\0b"] } }), /must not contain NUL/);
  });

  it("sets host names only where they are the container's own", () => {
    const linux = { namespaces: [{ type: "uts" }] as const };
    assert.equal(plan({ hostname: "h", domainname: "d", linux }).hostname, "h");
    assert.throws(() => plan({ hostname: "h" }), /private UTS namespace/);
  });

  it("kills everything with the first process unless a PID namespace does", () => {
    assert.equal(plan().killCgroupOnExit, true);
    assert.equal(plan({ linux: { namespaces: [{ type: "pid" }] } }).killCgroupOnExit, false);
    assert.equal(
      plan({ linux: { namespaces: [{ type: "pid", path: "/proc/1/ns/pid" }] } }).killCgroupOnExit,
      true,
    );
  });

  it("prefers Docker's user string to the numeric user", () => {
    const user = { uid: 5, gid: 6, additionalGids: [7], umask: 0o77 };
    const numeric = plan({ process: { ...process, user } }).process;
    assert.deepEqual(
      [numeric?.user, numeric?.additionalGroups, numeric?.umask, numeric?.setUmask],
      ["5:6", ["7"], 0o77, true],
    );
    const named = plan(
      { process: { ...process, user } },
      { user: "bob", additionalGroups: ["audio"] },
    ).process;
    assert.deepEqual([named?.user, named?.additionalGroups], ["bob", ["7", "audio"]]);
    assert.equal(plan().process?.user, "");
    assert.equal(
      plan({ process: { ...process, user: { uid: 0, gid: 0, additionalGids: [1] } } }).process
        ?.user,
      "0:0",
    );
  });

  it("carries over what the process asks for", () => {
    const full = plan({
      process: {
        ...process,
        terminal: true,
        consoleSize: { height: 24, width: 80 },
        noNewPrivileges: true,
        oomScoreAdj: -5,
        apparmorProfile: "p",
        selinuxLabel: "l",
        env: ["A=1"],
      },
    }).process;
    assert.deepEqual(
      [
        full?.terminal,
        full?.consoleHeight,
        full?.consoleWidth,
        full?.noNewPrivileges,
        full?.oomScoreAdj,
        full?.setOomScoreAdj,
        full?.apparmorProfile,
        full?.selinuxLabel,
        full?.env,
      ],
      [true, 24, 80, true, -5, true, "p", "l", ["A=1"]],
    );
    assert.equal(plan().process?.setOomScoreAdj, false);
  });

  it("adds variables that stand in no bundle, in place of those that do", () => {
    const env = ["A=1", "B=2"];
    const { process: given } = plan({ process: { ...process, env } }, { secretEnv: ["B=s", "C="] });
    assert.deepEqual(given?.env, ["A=1", "B=s", "C="]);
  });

  it("puts program, tickets, log and streams into the plan", () => {
    const tickets = [create(StreamTicketSchema, { ticket: new Uint8Array(32) })];
    const seccomp = { program: new Uint8Array(8), flags: 4 };
    const made = plan(
      {},
      { log: { driver: "none" }, stdio: { openStdin: true } },
      { tickets, seccomp },
    );
    assert.equal(made.tickets?.length, 1);
    assert.deepEqual([made.process?.seccompProgram?.length, made.process?.seccompFlags], [8, 4]);
    assert.deepEqual(
      [made.log?.driver, made.stdio?.openStdin, made.natsUrlPath],
      ["none", true, "/run/nats.url"],
    );
  });

  it("lists hooks by stage, with the state that they read", () => {
    const hooks = {
      createRuntime: [{ path: "/h", timeout: 3 }],
      poststop: [{ path: "/p", args: ["p", "x"], env: ["E=1"] }],
    };
    const made = plan({ hooks, annotations: { k: "v" } });
    assert.deepEqual(made.hooks, [
      { stage: "createRuntime", path: "/h", args: ["/h"], env: [], timeoutSeconds: 3 },
      { stage: "poststop", path: "/p", args: ["p", "x"], env: ["E=1"], timeoutSeconds: 0 },
    ]);
    assert.deepEqual(JSON.parse(made.hookStateJson ?? ""), {
      ociVersion: "1.2.0",
      id: "a",
      bundle: "/b",
      annotations: { k: "v" },
    });
    assert.equal(plan().hookStateJson, "");
    assert.throws(
      () => plan({ hooks: { prestart: [{ path: "h" }] } }),
      /hook path h must be absolute/,
    );
  });
});
