/** Facts about this machine that do not change while we run. */
import { readFileSync } from "node:fs";
import { hasErrno } from "@gantry/errors";
import { type CgroupLayout, parseCgroupLayout } from "../compile/cgroup-layout.ts";
import type { Machine } from "../ports.ts";

export function readMachine(): Machine {
  return {
    layout: readLayout(),
    bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    capabilityBound: readCapabilityBound(),
  };
}

function readLayout(): CgroupLayout {
  const mountinfo = readFileSync("/proc/self/mountinfo", "utf8");
  const { v2 } = parseCgroupLayout(mountinfo, "");
  const controllers = v2 === undefined ? "" : readIfThere(`${v2.mountPoint}/cgroup.controllers`);
  return parseCgroupLayout(mountinfo, controllers);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return "";
    throw error;
  }
}

function readCapabilityBound(): bigint {
  const status = readFileSync("/proc/self/status", "utf8");
  const mask = (field: string): bigint => {
    const hex = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1];
    return hex === undefined ? 0n : BigInt(`0x${hex}`);
  };
  return mask("CapBnd") & mask("CapPrm");
}
