import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadKernel, parseSeccomp } from "@gantry/native";
import { capabilityNames } from "@gantry/oci/capabilities";
import type { RuntimeSeccomp } from "@gantry/oci/runtime-spec";
import { defaultCapabilities } from "./capabilities.ts";
import { defaultSeccompProfile } from "./default-seccomp.ts";

const x64 = 0xc000_003e;
const i386 = 0x4000_0003;
const allow = 0x7fff_0000;
const errno = 0x0005_0000;

/** Interprets a classic BPF program on a struct seccomp_data, as the kernel would. */
function filter(
  program: Uint8Array,
  arch: number,
  nr: number,
  args: readonly bigint[] = [],
): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, arch, true);
  args.forEach((value, index) => {
    data.setBigUint64(16 + index * 8, value, true);
  });
  const code = new DataView(program.buffer, program.byteOffset, program.length);
  let a = 0;
  for (let at = 0; at < program.length / 8; at += 1) {
    const op = code.getUint16(at * 8, true);
    const [jt, jf] = [code.getUint8(at * 8 + 2), code.getUint8(at * 8 + 3)];
    const k = code.getUint32(at * 8 + 4, true);
    if (op === 0x20) a = data.getUint32(k, true);
    else if (op === 0x15) at += a === k ? jt : jf;
    else if (op === 0x25) at += a > k ? jt : jf;
    else if (op === 0x35) at += a >= k ? jt : jf;
    else if (op === 0x45) at += (a & k) !== 0 ? jt : jf;
    else if (op === 0x54) a = (a & k) >>> 0;
    else if (op === 0x05) at += k;
    else if (op === 0x06) return k;
    else throw new Error(`unknown instruction ${op.toString(16)}`);
  }
  throw new Error("program has no end");
}

const kernel = loadKernel();
const compile = (profile: RuntimeSeccomp) => kernel.compileSeccomp(parseSeccomp(profile));
const plain = await compile(defaultSeccompProfile(defaultCapabilities, "x64"));
const admin = await compile(defaultSeccompProfile(capabilityNames, "x64"));

const calls = {
  read: 0,
  socket: 41,
  clone: 56,
  personality: 135,
  chroot: 161,
  mount: 165,
  bpf: 321,
  clone3: 435,
  io_uring_setup: 425,
  keyctl: 250,
  unshare: 272,
  add_key: 248,
  userfaultfd: 323,
  kexec_load: 246,
  ptrace: 101,
};

describe("the default seccomp profile", { skip: process.arch !== "x64" }, () => {
  it("allows ordinary calls and refuses dangerous ones with EPERM", () => {
    for (const name of ["read", "ptrace", "chroot"] as const)
      assert.equal(filter(plain, x64, calls[name]), allow, name);
    for (const name of [
      "mount",
      "bpf",
      "io_uring_setup",
      "keyctl",
      "add_key",
      "unshare",
      "userfaultfd",
      "kexec_load",
    ] as const) {
      assert.equal(filter(plain, x64, calls[name]), errno + 1, name);
    }
  });

  it("opens calls with the capability that they need, and never io_uring", () => {
    for (const name of ["mount", "bpf", "unshare", "clone3"] as const)
      assert.equal(filter(admin, x64, calls[name]), allow, name);
    assert.equal(filter(admin, x64, calls.io_uring_setup), errno + 1);
  });

  it("closes the socket families AF_ALG and AF_VSOCK, whatever the upper half of the argument holds", () => {
    for (const family of [0n, 1n, 2n, 10n, 16n, 17n, 37n, 39n, 41n, 44n]) {
      assert.equal(filter(plain, x64, calls.socket, [family]), allow, String(family));
    }
    for (const family of [38n, 40n, 38n + (1n << 32n), 40n + (5n << 32n)]) {
      assert.equal(filter(plain, x64, calls.socket, [family]), errno + 1, String(family));
    }
  });

  it("closes them for 32-bit programs too: socketcall(SYS_SOCKET) as a whole", () => {
    const socketcall = 102;
    assert.equal(filter(plain, i386, socketcall, [1n]), errno + 1);
    assert.equal(filter(plain, i386, socketcall, [2n]), allow);
    assert.equal(filter(plain, i386, 359, [2n]), allow);
    assert.equal(filter(plain, i386, 359, [38n]), errno + 1);
  });

  it("lets nobody make namespaces by clone, and sends clone3 to clone", () => {
    assert.equal(filter(plain, x64, calls.clone, [0x0012_0011n]), errno + 1);
    for (const flag of [
      0x2_0000n,
      0x200_0000n,
      0x400_0000n,
      0x800_0000n,
      0x1000_0000n,
      0x2000_0000n,
      0x4000_0000n,
    ]) {
      assert.equal(filter(plain, x64, calls.clone, [flag | 17n]), errno + 1);
    }
    assert.equal(filter(plain, x64, calls.clone, [0x003d_0f00n]), allow);
    assert.equal(filter(plain, x64, calls.clone3), errno + 38);
    assert.equal(filter(admin, x64, calls.clone, [0x1000_0011n]), allow);
  });

  it("allows the known personalities only", () => {
    for (const value of [0n, 8n, 0x20000n, 0x20008n, 0xffff_ffffn])
      assert.equal(filter(plain, x64, calls.personality, [value]), allow);
    assert.equal(filter(plain, x64, calls.personality, [0x40000n]), errno + 1);
  });

  it("answers ENOSYS for calls that are newer than the profile", () => {
    assert.equal(filter(plain, x64, 9_999), errno + 38);
  });

  it("kills programs of an architecture that it does not know", () => {
    assert.equal(filter(plain, 0xc000_00b7, 0), 0);
  });

  it("is small enough to load quickly", () => {
    assert.ok(plain.length / 8 < 2_500, String(plain.length / 8));
  });
});
