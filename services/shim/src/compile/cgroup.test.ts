import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RuntimeResources } from "@gantry/oci/runtime-spec";
import {
  type CgroupLayout,
  cgroupPathOf,
  controllerVersion,
  parseCgroupLayout,
  v1With,
} from "./cgroup-layout.ts";
import { compileCgroup } from "./cgroup-plan.ts";
import { type CurrentMemory, compileLimits, weightOfShares } from "./cgroup-writes.ts";

const line = (point: string, type: string, options: string): string =>
  `30 22 0:27 / ${point} rw,relatime shared:9 - ${type} ${type} ${options}`;
const v1 = ["cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"].map((name) =>
  line(`/sys/fs/cgroup/${name}`, "cgroup", `rw,${name}`),
);
const named = line("/sys/fs/cgroup/systemd", "cgroup", "rw,xattr,name=systemd");
const onlyV1 = parseCgroupLayout([...v1, named].join("\n"), "");
const hybrid = parseCgroupLayout(
  [...v1, named, line("/sys/fs/cgroup/unified", "cgroup2", "rw")].join("\n"),
  "hugetlb\n",
);
const onlyV2 = parseCgroupLayout(
  line("/sys/fs/cgroup", "cgroup2", "rw"),
  "cpuset cpu io memory hugetlb pids\n",
);

/** `controller/version file=value …` of each controller. */
function writes(
  resources: RuntimeResources,
  layout: CgroupLayout,
  current?: CurrentMemory,
): string[] {
  return compileLimits(resources, layout, current).map(
    (each) =>
      `${each.controller}/${String(each.version)} ${each.writes.map((w) => `${w.file ?? ""}=${w.value ?? ""}`).join(" ")}`,
  );
}

describe("parseCgroupLayout", () => {
  it("finds hierarchies with several controllers, and named ones", () => {
    assert.equal(v1With(onlyV1, "cpuacct")?.mountPoint, "/sys/fs/cgroup/cpu,cpuacct");
    assert.equal(v1With(onlyV1, "name=systemd")?.options, "none,name=systemd");
    assert.equal(onlyV1.v2, undefined);
  });

  it("says where a controller is", () => {
    assert.deepEqual(
      [
        controllerVersion(hybrid, "memory"),
        controllerVersion(hybrid, "hugetlb"),
        controllerVersion(hybrid, "rdma"),
      ],
      [1, 2, undefined],
    );
    assert.equal(controllerVersion(onlyV2, "memory"), 2);
  });

  it("reads octal escapes in mount points, and passes over other mounts and broken lines", () => {
    const layout = parseCgroupLayout(
      `garbage\n${line("/a\\040b", "cgroup", "rw,pids")}\n${line("/", "ext4", "rw")}\n`,
      "",
    );
    assert.deepEqual(
      layout.v1.map((each) => each.mountPoint),
      ["/a b"],
    );
  });

  it("takes a hierarchy that is mounted twice once", () => {
    assert.equal(parseCgroupLayout([...v1, ...v1].join("\n"), "").v1.length, v1.length);
  });
});

describe("cgroupPathOf", () => {
  it("defaults to the engine's own", () => {
    assert.equal(cgroupPathOf(undefined, "gantry", "a"), "/gantry/a");
    assert.equal(cgroupPathOf("/", "gantry", "a"), "/gantry/a");
  });

  it("takes the bundle's path, and lets it lead nowhere else", () => {
    assert.equal(cgroupPathOf("/docker/a", "gantry", "a"), "/docker/a");
    assert.equal(cgroupPathOf("../../x/./y", "gantry", "a"), "/x/y");
  });

  it("takes systemd's form as the folder that systemd would make", () => {
    assert.equal(
      cgroupPathOf("a-b.slice:docker:c", "gantry", "a"),
      "/a.slice/a-b.slice/docker-c.scope",
    );
  });
});

describe("compileLimits", () => {
  it("writes each limit to the files of its version", () => {
    const resources: RuntimeResources = {
      memory: { limit: 1000, swap: 3000, reservation: 500 },
      cpu: { shares: 1024, quota: 50_000, period: 100_000, cpus: "0-1", mems: "0" },
      pids: { limit: 10 },
    };
    assert.deepEqual(writes(resources, onlyV1), [
      "cpuset/1 cpuset.cpus=0-1 cpuset.mems=0",
      "cpu/1 cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000",
      "memory/1 memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=3000 memory.soft_limit_in_bytes=500",
      "pids/1 pids.max=10",
    ]);
    assert.deepEqual(writes(resources, onlyV2), [
      "cpuset/2 cpuset.cpus=0-1 cpuset.mems=0",
      "cpu/2 cpu.weight=39 cpu.max=50000 100000",
      "memory/2 memory.swap.max=2000 memory.max=1000 memory.low=500",
      "pids/2 pids.max=10",
    ]);
  });

  it("lifts limits with numbers that are none", () => {
    const resources: RuntimeResources = {
      memory: { limit: -1, swap: -1 },
      pids: { limit: 0 },
      cpu: { quota: -1 },
    };
    assert.deepEqual(writes(resources, onlyV2), [
      "cpu/2 cpu.max=max 100000",
      "memory/2 memory.swap.max=max memory.max=max",
      "pids/2 pids.max=max",
    ]);
    assert.deepEqual(writes({ pids: { limit: -1 } }, onlyV1), ["pids/1 pids.max=max"]);
  });

  it("raises memory and swap of a live v1 cgroup before memory, and lowers them after", () => {
    const live = { memoryAndSwapBytes: 2000n };
    assert.deepEqual(writes({ memory: { limit: 3000, swap: 4000 } }, onlyV1, live), [
      "memory/1 memory.memsw.limit_in_bytes=4000 memory.limit_in_bytes=3000",
    ]);
    assert.deepEqual(writes({ memory: { limit: 1000, swap: 1500 } }, onlyV1, live), [
      "memory/1 memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1500",
    ]);
    assert.deepEqual(writes({ memory: { limit: 3000, swap: -1 } }, onlyV1, live), [
      "memory/1 memory.memsw.limit_in_bytes=-1 memory.limit_in_bytes=3000",
    ]);
  });

  it("writes the OOM killer's switch, swappiness, kernel memory and burst where v1 has them", () => {
    assert.deepEqual(
      writes(
        {
          memory: { disableOOMKiller: true, swappiness: 10, kernel: 5, kernelTCP: 6 },
          cpu: { burst: 7, idle: 1, realtimePeriod: 8, realtimeRuntime: 9 },
        },
        onlyV1,
      ),
      [
        "cpu/1 cpu.idle=1 cpu.rt_period_us=8 cpu.rt_runtime_us=9 cpu.cfs_burst_us=7",
        "memory/1 memory.kmem.limit_in_bytes=5 memory.kmem.tcp.limit_in_bytes=6 memory.swappiness=10 memory.oom_control=1",
      ],
    );
  });

  it("takes zero quota, period and shares for nothing, and a period alone", () => {
    assert.deepEqual(writes({ cpu: { quota: 0, period: 0, cpus: "" } }, onlyV1), []);
    assert.deepEqual(writes({ cpu: { shares: 0, period: 5000, idle: 1, burst: 3 } }, onlyV2), [
      "cpu/2 cpu.idle=1 cpu.max=max 5000 cpu.max.burst=3",
    ]);
  });

  it("refuses swap without memory, and less swap than memory, on v2", () => {
    assert.throws(
      () => writes({ memory: { swap: 10 } }, onlyV2),
      /only be limited together with memory/,
    );
    assert.throws(() => writes({ memory: { limit: 20, swap: 10 } }, onlyV2), /must not be below/);
  });

  it("converts shares as runc does", () => {
    assert.deepEqual(
      [2, 1024, 262_144, 1, 1_000_000].map(weightOfShares),
      [1, 39, 10_000, 1, 10_000],
    );
  });

  const io: RuntimeResources = {
    blockIO: {
      weight: 500,
      weightDevice: [{ major: 8, minor: 0, weight: 300 }],
      throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
      throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 20 }],
    },
  };

  it("limits block devices in both versions", () => {
    assert.deepEqual(writes(io, onlyV1), [
      "blkio/1 blkio.bfq.weight=500 blkio.weight=500 blkio.bfq.weight_device=8:0 300 blkio.weight_device=8:0 300 " +
        "blkio.throttle.read_bps_device=8:0 1000 blkio.throttle.write_iops_device=8:0 20",
    ]);
    assert.deepEqual(writes(io, onlyV2), [
      "blkio/2 io.bfq.weight=500 io.weight=default 4950 io.bfq.weight=8:0 300 io.max=8:0 rbps=1000 io.max=8:0 wiops=20",
    ]);
  });

  it("puts a controller that a hybrid machine has in v2 there", () => {
    assert.deepEqual(writes({ hugepageLimits: [{ pageSize: "2MB", limit: 4 }] }, hybrid), [
      "hugetlb/2 hugetlb.2MB.max=4 hugetlb.2MB.rsvd.max=4",
    ]);
  });

  it("refuses a limit whose controller the machine has not, and passes over what is optional anyway", () => {
    assert.throws(
      () => writes({ hugepageLimits: [{ pageSize: "2MB", limit: 4 }] }, onlyV1),
      /hugetlb cgroup controller is not available/,
    );
    assert.throws(
      () => writes({ network: { classID: 3 } }, onlyV2),
      /net_cls cgroup controller is not available/,
    );
    const bare = parseCgroupLayout(line("/sys/fs/cgroup", "cgroup2", "rw"), "");
    assert.deepEqual(writes({ blockIO: { weight: 10 } }, bare), []);
  });

  it("writes network classes and priorities on v1", () => {
    const layout = parseCgroupLayout(line("/n", "cgroup", "rw,net_cls,net_prio"), "");
    assert.deepEqual(
      writes({ network: { classID: 3, priorities: [{ name: "eth0", priority: 4 }] } }, layout),
      ["net_cls/1 net_cls.classid=3", "net_prio/1 net_prio.ifpriomap=eth0 4"],
    );
  });

  it("writes unified values as they are, only with v2, and only to files", () => {
    assert.deepEqual(writes({ unified: { "memory.high": "5" } }, onlyV2), [
      "unified/2 memory.high=5",
    ]);
    assert.throws(() => writes({ unified: { x: "5" } }, onlyV1), /need cgroup v2/);
    assert.throws(() => writes({ unified: { "../x": "5" } }, onlyV2), /must be a file name/);
  });
});

describe("compileCgroup", () => {
  const context = { path: "/gantry/a", parentCpuset: { cpus: "0-3", mems: "0" } };

  it("attaches to every v1 hierarchy and clones into v2's", () => {
    const plan = compileCgroup({ memory: { limit: 5 } }, { ...context, layout: hybrid });
    const dirs = plan.dirs ?? [];
    assert.equal(dirs.length, 9);
    assert.deepEqual(
      dirs.map((dir) => dir.attach),
      [...Array.from({ length: 8 }, () => true), false],
    );
    assert.ok(dirs.every((dir) => dir.remove));
    assert.equal(plan.v2Dir, "/sys/fs/cgroup/unified/gantry/a");
    assert.equal(plan.oomDir, "/sys/fs/cgroup/memory/gantry/a");
    assert.equal(plan.deviceProgram?.length, 0);
    assert.deepEqual(dirs[2]?.writes, [
      { file: "memory.limit_in_bytes", value: "5", optional: false },
    ]);
  });

  it("gives a new v1 cpuset what its parent has, but for what is asked for", () => {
    const cpuset = (resources: RuntimeResources) =>
      compileCgroup(resources, { ...context, layout: onlyV1 }).dirs?.[1]?.writes?.map(
        (write) => `${write.file ?? ""}=${write.value ?? ""}`,
      );
    assert.deepEqual(cpuset({}), ["cpuset.cpus=0-3", "cpuset.mems=0"]);
    assert.deepEqual(cpuset({ cpu: { cpus: "2" } }), ["cpuset.mems=0", "cpuset.cpus=2"]);
  });

  it("denies devices by rules on v1 and by a program on v2", () => {
    const devices = compileCgroup({}, { ...context, layout: onlyV1 }).dirs?.[3]?.writes ?? [];
    assert.deepEqual([devices[0]?.file, devices[0]?.value], ["devices.deny", "a"]);
    assert.ok(devices.some((write) => write.value === "c 1:3 rwm"));
    const plan = compileCgroup({}, { ...context, layout: onlyV2, parentCpuset: undefined });
    assert.ok((plan.deviceProgram?.length ?? 0) > 0);
    assert.equal(plan.oomDir, "");
  });

  it("refuses what may not have every device where nothing can keep it from them", () => {
    const none = parseCgroupLayout("", "");
    assert.throws(() => compileCgroup({}, { ...context, layout: none }), {
      message: "Devices cgroup isn't mounted",
    });
    const privileged = { devices: [{ allow: true, access: "rwm" }] };
    assert.deepEqual(compileCgroup(privileged, { ...context, layout: none }).dirs, []);
  });

  it("needs no program where all devices are allowed", () => {
    const plan = compileCgroup(
      { devices: [{ allow: true, access: "rwm" }] },
      { ...context, layout: onlyV2, parentCpuset: undefined },
    );
    assert.equal(plan.deviceProgram?.length, 0);
  });
});
