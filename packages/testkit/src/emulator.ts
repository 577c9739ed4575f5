/** An emulator for programs of another architecture, as a machine with qemu-user-static has it. */
import { existsSync } from "node:fs";
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
  const { interpreter, rule } = await findEmulator();
  const [, , , , magic = "", mask = ""] = (await readFile(rule, "utf8")).trim().split(":");
  return await registerBinfmt({ magic, mask, interpreter });
}

/** Since Debian 13 the static programs are qemu-user's. */
async function findEmulator(): Promise<{ interpreter: string; rule: string }> {
  const { machine } = foreign;
  const before = await unpackDebianPackage("qemu-user-static");
  const rule = path.join(before, `usr/lib/binfmt.d/qemu-${machine}.conf`);
  if (existsSync(rule))
    return { rule, interpreter: path.join(before, `usr/bin/qemu-${machine}-static`) };
  const since = await unpackDebianPackage("qemu-user");
  return {
    rule: path.join(since, `usr/share/qemu/binfmt.d/qemu-${machine}.conf`),
    interpreter: path.join(since, `usr/bin/qemu-${machine}`),
  };
}
