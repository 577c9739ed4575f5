/** The small parts of the compiler: limits of resources, namespaces, sysctls. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileIdMap, compileNamespaces, hasNamespace, makesNamespace } from "./namespaces.ts";
import { compileRlimits } from "./rlimits.ts";
import { compileSysctls } from "./sysctls.ts";

describe("compileRlimits", () => {
  it("translates names and takes 64-bit values exactly", () => {
    assert.deepEqual(
      compileRlimits([{ type: "RLIMIT_NOFILE", soft: 1024, hard: 18446744073709551615n }]),
      [{ resource: 7, soft: 1024n, hard: 18446744073709551615n }],
    );
  });

  it("takes -1 and what is too large for no limit", () => {
    const [plan] = compileRlimits([{ type: "RLIMIT_CORE", soft: -1, hard: 18446744073709552000 }]);
    assert.deepEqual([plan?.soft, plan?.hard], [18446744073709551615n, 18446744073709551615n]);
  });

  it("refuses unknown names, doubles, and a soft limit above the hard one", () => {
    assert.throws(
      () => compileRlimits([{ type: "RLIMIT_X", soft: 1, hard: 1 }]),
      /unknown rlimit RLIMIT_X/,
    );
    const nproc = { type: "RLIMIT_NPROC", soft: 1, hard: 1 };
    assert.throws(() => compileRlimits([nproc, nproc]), /given twice/);
    assert.throws(() => compileRlimits([{ ...nproc, soft: 2 }]), /above the hard limit/);
  });

  it("makes nothing of nothing", () => {
    assert.deepEqual(compileRlimits(), []);
  });
});

describe("compileNamespaces", () => {
  it("has the clone flag of each type", () => {
    const types = ["time", "mount", "cgroup", "uts", "ipc", "user", "pid", "network"] as const;
    const flags = compileNamespaces(types.map((type) => ({ type }))).map((plan) => plan.cloneFlag);
    assert.deepEqual(flags, [
      0x80n,
      0x20000n,
      0x2000000n,
      0x4000000n,
      0x8000000n,
      0x10000000n,
      0x20000000n,
      0x40000000n,
    ]);
  });

  it("keeps the path of one to join", () => {
    assert.deepEqual(compileNamespaces([{ type: "network", path: "/proc/7/ns/net" }]), [
      { cloneFlag: 0x40000000n, path: "/proc/7/ns/net" },
    ]);
  });

  it("refuses doubles and relative paths", () => {
    assert.throws(() => compileNamespaces([{ type: "pid" }, { type: "pid" }]), /given twice/);
    assert.throws(() => compileNamespaces([{ type: "pid", path: "x" }]), /must be absolute/);
  });

  it("tells a new namespace from a joined one and from the host's", () => {
    const list = [{ type: "pid" }, { type: "network", path: "/x" }] as const;
    assert.deepEqual(
      [makesNamespace(list, "pid"), makesNamespace(list, "network"), makesNamespace(list, "uts")],
      [true, false, false],
    );
    assert.deepEqual(
      [hasNamespace(list, "network"), hasNamespace(list, "uts"), hasNamespace(undefined, "uts")],
      [true, false, false],
    );
  });

  it("writes ID maps as the kernel reads them", () => {
    assert.equal(compileIdMap([{ containerID: 0, hostID: 1000, size: 10 }]), "0 1000 10\n");
  });
});

describe("compileSysctls", () => {
  const own = [{ type: "network" }, { type: "ipc" }, { type: "uts" }] as const;

  it("lets through what a namespace keeps from the host, in either spelling", () => {
    const sysctls = {
      "net.ipv4.ip_forward": "1",
      "net/ipv4/conf/eth0.1/forwarding": "1",
      "kernel.shmmax": "1",
      "fs.mqueue.msg_max": "5",
      "kernel.domainname": "x",
    };
    assert.deepEqual(compileSysctls(sysctls, own), sysctls);
  });

  it("refuses what belongs to the whole machine", () => {
    assert.throws(
      () => compileSysctls({ "vm.swappiness": "1" }, own),
      /sysctl "vm\.swappiness" is not in a separate kernel namespace/,
    );
    assert.throws(() => compileSysctls({ "kernel/panic": "1" }, own), /not in a separate/);
  });

  it("refuses what would reach the host's namespace", () => {
    assert.throws(
      () => compileSysctls({ "net.core.somaxconn": "1" }, []),
      /not allowed in host network namespace/,
    );
    assert.throws(
      () => compileSysctls({ "kernel.sem": "1" }, []),
      /"kernel\.sem" is not allowed in the hosts ipc namespace/,
    );
    assert.throws(
      () => compileSysctls({ "kernel/domainname": "1" }, []),
      /"kernel\.domainname" is not in a separate kernel namespace/,
    );
    assert.throws(
      () => compileSysctls({ "kernel.hostname": "1" }, own),
      /"kernel\.hostname" is not allowed as it conflicts with the OCI "hostname" field/,
    );
  });
});
