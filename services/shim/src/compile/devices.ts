/** Device nodes, and the rules that say which devices may be used. */
import { invalidArgument } from "@gantry/errors";
import type { RuntimeDevice, RuntimeDeviceRule } from "@gantry/oci/runtime-spec";
import type { DevicePlan } from "./plan-types.ts";

const fileTypes: Readonly<Record<RuntimeDevice["type"], number>> = {
  c: 0o020000,
  u: 0o020000,
  b: 0o060000,
  p: 0o010000,
};

/** Nodes that every container has; the shim process makes them itself. */
const defaultNodes = new Set([
  "/dev/null",
  "/dev/zero",
  "/dev/full",
  "/dev/random",
  "/dev/urandom",
  "/dev/tty",
]);

export function compileDevices(devices: readonly RuntimeDevice[] = []): DevicePlan[] {
  return devices
    .filter((device) => !defaultNodes.has(device.path))
    .map((device) => {
      if (!device.path.startsWith("/"))
        throw invalidArgument(`device path ${device.path} must be absolute`);
      return {
        path: device.path,
        mode: fileTypes[device.type] | ((device.fileMode ?? 0o666) & 0o7777),
        major: device.major ?? 0,
        minor: device.minor ?? 0,
        uid: device.uid ?? 0,
        gid: device.gid ?? 0,
      };
    });
}

/** A device rule with everything spelled out. */
export interface DeviceRule {
  readonly allow: boolean;
  /** `a` is both kinds. */
  readonly type: "a" | "b" | "c";
  /** Undefined: any. */
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** Some of `r`, `w`, `m`, in this order. */
  readonly access: string;
}

/** Rules in order after a default; the last one that fits a device decides. */
export interface DevicePolicy {
  readonly allowByDefault: boolean;
  readonly rules: readonly DeviceRule[];
}

const node = (
  type: "b" | "c",
  major: number | undefined,
  minor: number | undefined,
  access: string,
) => ({ allow: true, type, major, minor, access }) as const;

/** What no container works without (runtime-spec: config-linux.md#default-devices). */
const alwaysAllowed: readonly DeviceRule[] = [
  node("c", undefined, undefined, "m"),
  node("b", undefined, undefined, "m"),
  node("c", 1, 3, "rwm"),
  node("c", 1, 5, "rwm"),
  node("c", 1, 7, "rwm"),
  node("c", 1, 8, "rwm"),
  node("c", 1, 9, "rwm"),
  node("c", 5, 0, "rwm"),
  node("c", 5, 1, "rwm"),
  node("c", 5, 2, "rwm"),
  node("c", 136, undefined, "rwm"),
];

function normalise(rule: RuntimeDeviceRule): DeviceRule {
  const type = rule.type ?? "a";
  if (type !== "a" && type !== "b" && type !== "c")
    throw invalidArgument(`unknown device type ${type}`);
  const asked = rule.access ?? "rwm";
  if (!/^[rwm]*$/.test(asked)) throw invalidArgument(`unknown device access ${asked}`);
  const access = ["r", "w", "m"].filter((letter) => asked.includes(letter)).join("");
  const number = (value: number | undefined): number | undefined =>
    value === undefined || value < 0 ? undefined : value;
  return { allow: rule.allow, type, major: number(rule.major), minor: number(rule.minor), access };
}

function coversAll(rule: DeviceRule): boolean {
  return (
    rule.type === "a" &&
    rule.major === undefined &&
    rule.minor === undefined &&
    rule.access === "rwm"
  );
}

/** Without any rule nothing but the default devices may be used. */
export function compileDevicePolicy(rules: readonly RuntimeDeviceRule[] = []): DevicePolicy {
  let allowByDefault = false;
  let kept: DeviceRule[] = [];
  for (const rule of [...rules.map(normalise), ...alwaysAllowed]) {
    if (coversAll(rule)) {
      allowByDefault = rule.allow;
      kept = [];
    } else if (rule.access !== "" && !saysNothingNew(kept, allowByDefault, rule)) {
      kept.push(rule);
    }
  }
  return { allowByDefault, rules: kept };
}

/** An allowance is idle where nothing was denied since the same one, or since everything was allowed. */
function saysNothingNew(
  kept: readonly DeviceRule[],
  allowByDefault: boolean,
  rule: DeviceRule,
): boolean {
  if (!rule.allow) return false;
  const same = kept.findIndex((each) => sameRule(each, rule));
  const since = same === -1 ? kept : kept.slice(same);
  return (same !== -1 || allowByDefault) && since.every((each) => each.allow);
}

function sameRule(one: DeviceRule, other: DeviceRule): boolean {
  return (
    one.allow === other.allow &&
    one.type === other.type &&
    one.major === other.major &&
    one.minor === other.minor &&
    one.access === other.access
  );
}

/** The lines of v1's devices.allow and devices.deny, in the order of writing. */
export function devicePolicyWrites(policy: DevicePolicy): { file: string; value: string }[] {
  const first = { file: policy.allowByDefault ? "devices.allow" : "devices.deny", value: "a" };
  const number = (value: number | undefined): string => (value === undefined ? "*" : String(value));
  return [
    first,
    ...policy.rules.flatMap((rule) => {
      // `a` in a line means everything and drops the rest of it, so both kinds are written.
      const types = rule.type === "a" ? ["b", "c"] : [rule.type];
      return types.map((type) => ({
        file: rule.allow ? "devices.allow" : "devices.deny",
        value: `${type} ${number(rule.major)}:${number(rule.minor)} ${rule.access}`,
      }));
    }),
  ];
}
