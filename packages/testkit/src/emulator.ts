/** An emulator for programs of another architecture, as a machine with qemu-user-static has it. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type RegisteredBinfmt, registerBinfmt } from "./binfmt.ts";
import { unpackDebianPackage } from "./debian.ts";

/** The architecture that is emulated, and its name for QEMU and uname. */
export const foreign =
  process.arch === "arm64"
    ? { architecture: "amd64", machine: "x86_64" }
    : { architecture: "arm64", machine: "aarch64" };

/** Registers QEMU's emulator of the foreign architecture. */
export async function registerEmulator(): Promise<RegisteredBinfmt> {
  const qemu = await unpackDebianPackage("qemu-user-static");
  const interpreter = path.join(qemu, `usr/bin/qemu-${foreign.machine}-static`);
  const rule = path.join(qemu, `usr/lib/binfmt.d/qemu-${foreign.machine}.conf`);
  const [, , , , magic = "", mask = ""] = (await readFile(rule, "utf8")).trim().split(":");
  return await registerBinfmt({ magic, mask, interpreter });
}
