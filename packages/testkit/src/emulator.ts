/** An emulator for programs of another architecture, as a machine with qemu-user-static has it. */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { unpackDebianPackage } from "./debian.ts";
import { mustRun } from "./run.ts";

/** The architecture that is emulated, and its name for QEMU and uname. */
export const foreign =
  process.arch === "arm64"
    ? { architecture: "amd64", machine: "x86_64" }
    : { architecture: "arm64", machine: "aarch64" };

const usualPlace = "/proc/sys/fs/binfmt_misc";

/** A registration with the kernel (Documentation/admin-guide/binfmt-misc.rst), taken back when disposed. */
export interface Emulator extends AsyncDisposable {
  /** Lets the kernel use it, or not. */
  enable(enabled: boolean): Promise<void>;
}

/** Registers QEMU's emulator of the foreign architecture. */
export async function registerEmulator(): Promise<Emulator> {
  const qemu = await unpackDebianPackage("qemu-user-static");
  const program = path.join(qemu, `usr/bin/qemu-${foreign.machine}-static`);
  const conf = await readFile(
    path.join(qemu, `usr/lib/binfmt.d/qemu-${foreign.machine}.conf`),
    "utf8",
  );
  const [, , kind, offset, magic, mask] = conf.trim().split(":");
  const name = `gantry-test-${String(process.pid)}`;
  const ours = !existsSync(path.join(usualPlace, "register"));
  if (ours) await mustRun(["mount", "-t", "binfmt_misc", "binfmt_misc", usualPlace]);
  const place = path.join(usualPlace, name);
  const line = ["", name, kind, offset, magic, mask, program, "F"].join(":");
  await writeFile(path.join(usualPlace, "register"), line);
  return {
    enable: (enabled) => writeFile(place, enabled ? "1" : "0"),
    async [Symbol.asyncDispose]() {
      await writeFile(place, "-1");
      if (ours) await mustRun(["umount", usualPlace]);
    },
  };
}
