/**
 * The eBPF program that stands in for v1's device cgroup on cgroup v2 (type CGROUP_DEVICE): it gets
 * a struct bpf_cgroup_dev_ctx {u32 access_type; u32 major; u32 minor}, where the low half of
 * access_type is the kind of device and the high half what is asked for, and returns 1 to allow.
 */
import type { DevicePolicy, DeviceRule } from "./devices.ts";

/** struct bpf_insn: u8 code, 4 bits dst, 4 bits src, s16 off, s32 imm. */
interface Instruction {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
}

const op = {
  loadWord: 0x61,
  moveImmediate: 0xb4,
  moveRegister: 0xbc,
  andImmediate: 0x54,
  shiftRightImmediate: 0x74,
  jumpUnlessEqual: 0x55,
  jumpUnlessEqualRegister: 0x5d,
  jumpIfEqual: 0x15,
  exit: 0x95,
} as const;

/** Registers: r0 result, r1 context and scratch, then what was read of the context. */
const reg = { result: 0, context: 1, scratch: 1, type: 2, access: 3, major: 4, minor: 5 } as const;

const types = { b: 1, c: 2 } as const;
const accessBits: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const allAccess = 7;

function instruction(code: number, fields: Partial<Omit<Instruction, "code">> = {}): Instruction {
  return { code, dst: 0, src: 0, off: 0, imm: 0, ...fields };
}

const prologue: readonly Instruction[] = [
  instruction(op.loadWord, { dst: reg.type, src: reg.context, off: 0 }),
  instruction(op.moveRegister, { dst: reg.access, src: reg.type }),
  instruction(op.andImmediate, { dst: reg.type, imm: 0xffff }),
  instruction(op.shiftRightImmediate, { dst: reg.access, imm: 16 }),
  instruction(op.loadWord, { dst: reg.major, src: reg.context, off: 4 }),
  instruction(op.loadWord, { dst: reg.minor, src: reg.context, off: 8 }),
];

function verdict(allow: boolean): Instruction[] {
  return [
    instruction(op.moveImmediate, { dst: reg.result, imm: allow ? 1 : 0 }),
    instruction(op.exit),
  ];
}

function accessMask(access: string): number {
  return [...access].reduce((bits, letter) => bits | (accessBits[letter] ?? 0), 0);
}

/** Jumps leave the rule; how far is known when it is whole, so they are built from its end. */
function ruleBlock(rule: DeviceRule): Instruction[] {
  const checks: ((skip: number) => Instruction[])[] = [];
  const unlessEqual = (dst: number, imm: number): void => {
    checks.push((off) => [instruction(op.jumpUnlessEqual, { dst, off, imm })]);
  };
  if (rule.type !== "a") unlessEqual(reg.type, types[rule.type]);
  const mask = accessMask(rule.access);
  if (mask !== allAccess) checks.push((off) => accessCheck(rule.allow, mask, off));
  if (rule.major !== undefined) unlessEqual(reg.major, rule.major);
  if (rule.minor !== undefined) unlessEqual(reg.minor, rule.minor);
  return checks.reduceRight((tail, check) => [...check(tail.length), ...tail], verdict(rule.allow));
}

/** An allowance must cover all that is asked for; a denial takes effect when any of it is denied. */
function accessCheck(allow: boolean, mask: number, off: number): Instruction[] {
  const asked = [
    instruction(op.moveRegister, { dst: reg.scratch, src: reg.access }),
    instruction(op.andImmediate, { dst: reg.scratch, imm: mask }),
  ];
  return allow
    ? [
        ...asked,
        instruction(op.jumpUnlessEqualRegister, { dst: reg.scratch, src: reg.access, off }),
      ]
    : [...asked, instruction(op.jumpIfEqual, { dst: reg.scratch, off, imm: 0 })];
}

function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * 8);
  const view = new DataView(bytes.buffer);
  instructions.forEach(({ code, dst, src, off, imm }, index) => {
    const at = index * 8;
    view.setUint8(at, code);
    view.setUint8(at + 1, dst | (src << 4));
    view.setInt16(at + 2, off, true);
    view.setInt32(at + 4, imm, true);
  });
  return bytes;
}

/** The program of a policy: the last rule first, as the last one that fits decides. */
export function compileDeviceProgram(policy: DevicePolicy): Uint8Array {
  const blocks = policy.rules.toReversed().flatMap(ruleBlock);
  return encode([...prologue, ...blocks, ...verdict(policy.allowByDefault)]);
}
