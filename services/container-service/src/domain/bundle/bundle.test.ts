import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { parseRuntimeSpec } from "@gantry/oci";
import { ContainerConfigSchema, HostConfigSchema } from "@gantry/proto/container";
import type { ContainerRecord } from "../container-record.ts";
import { neverRan } from "../container-state.ts";
import type { HostFacts } from "../host-facts.ts";
import { bundleJson } from "./build-bundle.ts";
import { buildExecProcess } from "./build-process.ts";
import type { BundleInput, RuntimeDefaults } from "./bundle-input.ts";

const defaults: RuntimeDefaults = {
  ociVersion: "1.2.0",
  capabilities: ["CAP_CHOWN", "CAP_KILL"],
  maskedPaths: ["/proc/kcore"],
  readonlyPaths: ["/proc/sys"],
  deviceRules: [{ allow: false, access: "rwm" }],
  mounts: (size) => [
    { destination: "/proc", type: "proc", source: "proc", options: [] },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: [] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: [] },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [`size=${String(size)}`] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] },
  ],
  seccompProfile: (capabilities) => ({
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [{ names: capabilities, action: "SCMP_ACT_ALLOW" }],
  }),
  cgroupParent: "gantry",
  noNewPrivileges: false,
  apparmorProfile: "",
  seccomp: "builtin",
  ulimits: [{ name: "nofile", soft: 10n, hard: 20n }],
};

interface Overrides {
  readonly config?: MessageInitShape<typeof ContainerConfigSchema>;
  readonly hostConfig?: MessageInitShape<typeof HostConfigSchema>;
  readonly input?: Partial<BundleInput>;
}

function record({ config, hostConfig }: Overrides): ContainerRecord {
  const manifest = {
    mediaType: "",
    digest: "",
    sizeBytes: 0,
    os: "linux",
    architecture: "",
    variant: "",
  };
  return {
    id: "c".repeat(64),
    name: "name",
    config: create(ContainerConfigSchema, config ?? {}),
    hostConfig: create(HostConfigSchema, hostConfig ?? {}),
    createdNano: 1n,
    path: "sh",
    args: ["-c", "true"],
    image: { reference: "x", id: "y", manifest, chainId: "", os: "linux", architecture: "amd64" },
    rootfs: { lowerDirs: [], upperDir: "", workDir: "", mountpoint: "/mnt" },
    state: { status: "created", past: neverRan },
    restartCount: 0,
    manuallyStopped: false,
  };
}

function bundle(overrides: Overrides = {}) {
  const input: BundleInput = {
    record: record(overrides),
    host: { messageQueues: true } as HostFacts,
    defaults,
    network: "new",
    ipc: "new",
    pid: "new",
    hostname: "box",
    mounts: [],
    rootfsPropagation: "",
    shmPath: "",
    devices: [],
    blockDevices: new Map(),
    init: false,
    ...overrides.input,
  };
  const spec = parseRuntimeSpec(bundleJson(input));
  assert.ok(spec.process !== undefined && spec.linux !== undefined);
  return { ...spec, process: spec.process, linux: spec.linux };
}

describe("bundle", () => {
  it("is a complete runtime-spec of what was asked for", () => {
    const spec = bundle();
    assert.equal(spec.hostname, "box");
    assert.equal(spec.root?.path, "/mnt");
    assert.deepEqual(spec.process.args, ["sh", "-c", "true"]);
    assert.equal(spec.process.cwd, "/");
    assert.equal(spec.linux.cgroupsPath, `/gantry/${"c".repeat(64)}`);
    assert.deepEqual(spec.process.rlimits, [{ type: "RLIMIT_NOFILE", soft: 10, hard: 20 }]);
    assert.deepEqual(
      spec.linux.namespaces?.map(({ type }) => type),
      ["mount", "network", "uts", "pid", "ipc"],
    );
    assert.equal(spec.linux.seccomp?.syscalls?.[0]?.names.join(), "CAP_CHOWN,CAP_KILL");
  });

  it("puts the environment in Docker's order and lets the user override and remove", () => {
    const { env } = bundle({ config: { tty: true, env: ["PATH=/x", "A=1", "TERM"] } }).process;
    assert.deepEqual(env, ["PATH=/x", "HOSTNAME=box", "A=1"]);
  });

  it("runs below an init process when asked to", () => {
    const { args } = bundle({ input: { init: true } }).process;
    assert.deepEqual(args, ["/sbin/docker-init", "--", "sh", "-c", "true"]);
  });

  it("adds and drops capabilities, none of them inheritable", () => {
    const sets = (hostConfig: Overrides["hostConfig"]) =>
      bundle({ hostConfig: hostConfig ?? {} }).process.capabilities;
    assert.deepEqual(
      sets({ capDrop: { values: ["all"] }, capAdd: { values: ["net_admin"] } })?.bounding,
      ["CAP_NET_ADMIN"],
    );
    assert.deepEqual(sets({ capDrop: { values: ["KILL"] } })?.effective, ["CAP_CHOWN"]);
    assert.equal(sets({ capAdd: { values: ["ALL"] } })?.bounding?.length, 41);
    assert.equal(sets({})?.inheritable, undefined);
    assert.equal(sets({})?.ambient, undefined);
  });

  it("opens everything to a privileged container", () => {
    const spec = bundle({
      hostConfig: { privileged: true, maskedPaths: { values: ["/proc/kcore"] } },
    });
    assert.equal(spec.linux.seccomp, undefined);
    assert.deepEqual(spec.linux.maskedPaths, []);
    assert.deepEqual(spec.linux.resources?.devices, [{ allow: true, access: "rwm" }]);
    const options = spec.mounts
      ?.filter((mount) => mount.destination.startsWith("/sys"))
      .map((mount) => mount.options);
    assert.deepEqual(options, [[], []]);
  });

  it("lets a mount of the user take the place of a default one", () => {
    const own = { destination: "/dev", type: "bind", source: "/dev", options: ["rbind"] };
    const destinations = bundle({ input: { mounts: [own] } }).mounts?.map(
      (mount) => mount.destination,
    );
    assert.deepEqual(destinations, ["/proc", "/sys", "/sys/fs/cgroup", "/dev"]);
  });

  it("joins and shares namespaces", () => {
    const spec = bundle({
      input: { pid: { pid: 12 }, ipc: "host", network: "host" },
      hostConfig: { utsMode: "host" },
    });
    assert.deepEqual(spec.linux.namespaces, [
      { type: "mount" },
      { type: "pid", path: "/proc/12/ns/pid" },
    ]);
    assert.equal(spec.hostname, undefined);
    assert.equal(spec.linux.sysctl?.["net.ipv4.ping_group_range"], undefined);
    assert.equal(
      spec.mounts?.find((mount) => mount.destination === "/dev/shm")?.source,
      "/dev/shm",
    );
  });

  it("translates limits, and writes 64-bit numbers in full", () => {
    const { linux } = bundle({
      hostConfig: {
        resources: {
          memoryBytes: 9_007_199_254_740_993n,
          nanoCpus: 1_500_000_000n,
          pidsLimit: 9n,
          cpusetCpus: "0",
          deviceCgroupRules: { values: ["c 42:* rw"] },
        },
      },
    });
    assert.equal(linux.resources?.memory?.limit, 9_007_199_254_740_993n);
    assert.deepEqual(linux.resources.cpu, { quota: 150_000, period: 100_000, cpus: "0" });
    assert.deepEqual(linux.resources.pids, { limit: 9 });
    assert.deepEqual(linux.resources.devices?.at(-1), {
      allow: true,
      type: "c",
      major: 42,
      access: "rw",
    });
  });

  it("takes a profile of the user, or none", () => {
    const profile = JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW" });
    const of = (option: string) =>
      bundle({ hostConfig: { securityOpt: { values: [option] } } }).linux.seccomp;
    assert.equal(of(`seccomp=${profile}`)?.defaultAction, "SCMP_ACT_ALLOW");
    assert.equal(of("seccomp=unconfined"), undefined);
  });

  it("has writable cgroups where that is asked for", () => {
    const writable = (option: string, privileged = false): boolean | undefined =>
      bundle({ hostConfig: { privileged, securityOpt: { values: [option] } } })
        .mounts?.find(({ type }) => type === "cgroup")
        ?.options?.every((each) => each !== "ro");
    assert.equal(writable("writable-cgroups"), true);
    assert.equal(writable("writable-cgroups=T"), true);
    assert.equal(writable("writable-cgroups=false"), false);
    assert.equal(writable("label=disable"), false);
    assert.equal(writable("writable-cgroups=0", true), false);
  });

  it("runs under AppArmor's default profile, that of the user, or none", () => {
    const of = (options: string[], privileged = false, apparmorProfile = "docker-default") =>
      bundle({
        hostConfig: { privileged, securityOpt: { values: options } },
        input: { defaults: { ...defaults, apparmorProfile } },
      }).process.apparmorProfile;
    assert.equal(of([]), "docker-default");
    assert.equal(of([], true), undefined);
    assert.equal(of(["apparmor=mine"]), "mine");
    assert.equal(of(["apparmor=unconfined"]), undefined);
    assert.equal(of(["apparmor=mine"], false, ""), undefined);
  });

  it("gives an exec the container's environment with its own over it", () => {
    const exec = {
      cmd: ["env"],
      env: ["B=2", "A=exec"],
      workingDir: "",
      tty: true,
      privileged: true,
      consoleHeight: 5,
      consoleWidth: 6,
    };
    const security = {
      noNewPrivileges: true,
      seccomp: undefined,
      apparmor: undefined,
      systemPathsUnconfined: false,
      writableCgroups: undefined,
    };
    const container = record({ config: { env: ["A=1"], workingDir: "/w", hostname: "box" } });
    const process = buildExecProcess(container, exec, defaults, security);
    assert.deepEqual(process.env?.slice(1).toSorted(), [
      "A=exec",
      "B=2",
      "HOSTNAME=box",
      "TERM=xterm",
    ]);
    assert.equal(process.cwd, "/w");
    assert.equal(process.noNewPrivileges, true);
    assert.equal(process.capabilities?.bounding?.length, 41);
    assert.deepEqual(process.consoleSize, { height: 5, width: 6 });
    const own = record({ config: { env: ["TERM=mine"], tty: true } });
    const termOf = (of: ContainerRecord, tty: boolean): string | undefined =>
      buildExecProcess(of, { ...exec, tty }, defaults, security).env?.find((variable) =>
        variable.startsWith("TERM="),
      );
    assert.equal(termOf(record({ config: { tty: true } }), false), undefined);
    assert.equal(termOf(own, true), "TERM=mine");
  });
});
