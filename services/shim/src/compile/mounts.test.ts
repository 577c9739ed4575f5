import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCgroupLayout } from "./cgroup-layout.ts";
import { mountExtensions, ms, parseMountOptions, rootfsPropagation } from "./mount-options.ts";
import { compileMounts, type MountContext } from "./mounts.ts";

const v2 = parseCgroupLayout("1 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "memory pids");
const hybrid = parseCgroupLayout(
  [
    "1 1 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
    "1 1 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
    "1 1 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
  ].join("\n"),
  "",
);
const context: MountContext = { layout: v2, cgroupPath: "/gantry/a", cgroupNamespace: true };

describe("parseMountOptions", () => {
  it("sorts words into flags, propagation and data", () => {
    const parsed = parseMountOptions(["nosuid", "noexec", "rslave", "mode=755", "size=1m"]);
    assert.equal(parsed.flags, ms.nosuid | ms.noexec);
    assert.equal(parsed.propagation, ms.slave | ms.rec);
    assert.equal(parsed.data, "mode=755,size=1m");
  });

  it("lets a later word overrule an earlier one", () => {
    assert.equal(parseMountOptions(["ro", "rw"]).flags, 0n);
    assert.equal(parseMountOptions(["ro", "rw"]).clearFlags, ms.rdonly);
    const again = parseMountOptions(["rw", "ro"]);
    assert.deepEqual([again.flags, again.clearFlags], [ms.rdonly, 0n]);
  });

  it("knows recursive read-only, forced and if possible", () => {
    assert.equal(parseMountOptions(["rbind", "rro"]).recursiveReadonly, true);
    assert.equal(
      parseMountOptions(["rbind", mountExtensions.readonlyIfPossible]).recursiveReadonlyIfPossible,
      true,
    );
  });

  it("takes a subpath of any form", () => {
    assert.equal(parseMountOptions([mountExtensions.subpath("a,b=c/d")]).subpath, "a,b=c/d");
  });

  it("sets and clears attributes recursively, a later word overruling an earlier one", () => {
    const options = parseMountOptions(["rbind", "rnoexec", "rnosuid", "rexec", "rnoatime", "rrw"]);
    assert.equal(options.recursiveFlags, ms.nosuid | ms.noatime);
    assert.equal(options.recursiveClearFlags, ms.noexec | ms.rdonly);
    assert.equal(options.flags, ms.bind | ms.rec);
  });

  it("has nothing to say of nothing", () => {
    assert.deepEqual(parseMountOptions().data, "");
    assert.equal(parseMountOptions(["defaults"]).data, "");
    assert.equal(rootfsPropagation(undefined), 0n);
    assert.equal(rootfsPropagation("rshared"), ms.shared | ms.rec);
  });
});

describe("compileMounts", () => {
  const one = (
    mount: Parameters<typeof compileMounts>[0] extends readonly (infer M)[] | undefined ? M : never,
  ) => compileMounts([mount], context).mounts[0];

  it("takes the type or an option for a bind", () => {
    for (const mount of [
      { destination: "/a", type: "bind", source: "/s" },
      { destination: "/a", type: "none", source: "/s", options: ["bind"] },
    ]) {
      const plan = one(mount);
      assert.equal(plan?.type, "bind");
      assert.equal((plan?.flags ?? 0n) & ms.bind, ms.bind);
    }
  });

  it("keeps order and data", () => {
    const { mounts } = compileMounts(
      [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755", "tmpcopyup"] },
      ],
      context,
    );
    assert.deepEqual(
      mounts.map((mount) => mount.destination),
      ["/proc", "/dev"],
    );
    assert.deepEqual([mounts[1]?.data, mounts[1]?.tmpcopyup], ["mode=755", true]);
  });

  it("refuses relative places and a mount of no type", () => {
    assert.throws(() => one({ destination: "a", type: "tmpfs" }), /destination a must be absolute/);
    assert.throws(
      () => one({ destination: "/a", type: "bind", source: "s" }),
      /source s must be absolute/,
    );
    assert.throws(() => one({ destination: "/a" }), /has no type/);
  });

  const cgroup = {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["ro", "nosuid"],
  };

  it("mounts v2's one hierarchy as it is", () => {
    assert.equal(one(cgroup)?.type, "cgroup2");
    assert.deepEqual(compileMounts([cgroup], context).readonlyPaths, []);
  });

  it("makes a folder of hierarchies on v1, with a namespace of their own", () => {
    const { mounts, readonlyPaths } = compileMounts([cgroup], { ...context, layout: hybrid });
    assert.deepEqual(
      mounts.map(({ destination, type, data }) => [destination, type, data]),
      [
        ["/sys/fs/cgroup", "tmpfs", "mode=755"],
        ["/sys/fs/cgroup/memory", "cgroup", "memory"],
        ["/sys/fs/cgroup/systemd", "cgroup", "none,name=systemd"],
        ["/sys/fs/cgroup/unified", "cgroup2", ""],
      ],
    );
    assert.deepEqual(readonlyPaths, ["/sys/fs/cgroup"]);
  });

  it("binds the container's own folders where it shares the host's cgroup namespace", () => {
    const { mounts } = compileMounts([cgroup], {
      ...context,
      layout: hybrid,
      cgroupNamespace: false,
    });
    assert.deepEqual(
      [mounts[1]?.type, mounts[1]?.source],
      ["bind", "/sys/fs/cgroup/memory/gantry/a"],
    );
    assert.equal((mounts[1]?.flags ?? 0n) & ms.rdonly, ms.rdonly);
  });

  it("leaves them writable for a privileged container", () => {
    const { mounts, readonlyPaths } = compileMounts([{ ...cgroup, options: [] }], {
      ...context,
      layout: hybrid,
    });
    assert.equal((mounts[1]?.flags ?? 0n) & ms.rdonly, 0n);
    assert.deepEqual(readonlyPaths, []);
  });
});
