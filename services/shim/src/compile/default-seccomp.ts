/**
 * The seccomp profile of containers that bring none: a list of what is allowed, all else is EPERM.
 * Closed on purpose: io_uring, the keyring, userfaultfd, kexec, new namespaces without
 * CAP_SYS_ADMIN, and the socket families AF_ALG and AF_VSOCK. 32-bit x86 programs have no
 * socketcall(2) either, as a filter cannot see which family it opens.
 */
import type { RuntimeSeccomp } from "@gantry/oci/runtime-spec";
import { callsByCapability, ordinaryCalls } from "./seccomp-calls.ts";

type Rule = NonNullable<RuntimeSeccomp["syscalls"]>[number];

const allow = (names: readonly string[]): Rule => ({ names, action: "SCMP_ACT_ALLOW" });

/** Allows a call when the low 32 bits of an argument are as given under a mask; the kernel reads an int. */
function allowMasked(name: string, index: number, mask: number, value: number): Rule {
  const args = [{ index, value: mask, valueTwo: value, op: "SCMP_CMP_MASKED_EQ" }];
  return { names: [name], action: "SCMP_ACT_ALLOW", args };
}

/** Families 0 to 47 but for 38 (AF_ALG) and 40 (AF_VSOCK), as blocks of powers of two: [first, mask]. */
const socketFamilies: readonly (readonly [first: number, mask: number])[] = [
  [0, 0xffff_ffe0],
  [32, 0xffff_fffc],
  [36, 0xffff_fffe],
  [39, 0xffff_ffff],
  [41, 0xffff_ffff],
  [42, 0xffff_fffe],
  [44, 0xffff_fffc],
];

/** PER_LINUX, PER_LINUX32, both with UNAME26, and "tell me". */
const personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const namespaceFlags = 0x7e02_0000;
const enosys = 38;

const withoutSysAdmin: readonly Rule[] = [
  allowMasked("clone", 0, namespaceFlags, 0),
  // Its flags lie behind a pointer; a C library that is told ENOSYS falls back to clone.
  { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: enosys },
];

const architectures: Readonly<Record<string, readonly string[]>> = {
  x64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

/**
 * The default profile for a container with these capabilities.
 * @param arch Node's name of the architecture; default this machine's.
 */
export function defaultSeccompProfile(
  capabilities: readonly string[],
  arch: string = process.arch,
): RuntimeSeccomp {
  const extra = capabilities.flatMap((name) => callsByCapability[name.toUpperCase()] ?? []);
  const isAdmin = capabilities.some((name) => name.toUpperCase() === "CAP_SYS_ADMIN");
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: architectures[arch] ?? [],
    syscalls: [
      allow([...ordinaryCalls, ...new Set(extra)]),
      ...socketFamilies.map(([first, mask]) => allowMasked("socket", 0, mask, first)),
      ...personalities.map((value) => allowMasked("personality", 0, 0xffff_ffff, value)),
      ...(isAdmin ? [] : withoutSysAdmin),
    ],
  };
}
