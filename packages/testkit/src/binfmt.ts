/** Programs that the kernel hands to others (Documentation/admin-guide/binfmt-misc.rst), registered for a test. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { mustRun } from "./run.ts";

const place = "/proc/sys/fs/binfmt_misc";

/** What the kernel knows programs by, in its own notation (`\x7f…`). */
export interface BinfmtRule {
  readonly magic: string;
  readonly mask: string;
  /** Runs them; held open by the kernel (flag F), so that containers need not have it. */
  readonly interpreter: string;
}

/** A rule of the machine, taken back when disposed. */
export interface RegisteredBinfmt extends AsyncDisposable {
  /** Lets the kernel use it, or not. */
  enable(enabled: boolean): Promise<void>;
}

/** Registers a rule, one at a time in a process. Mounts the kernel's folder for it where the machine has not. */
export async function registerBinfmt(rule: BinfmtRule): Promise<RegisteredBinfmt> {
  await using undo = new AsyncDisposableStack();
  if (!existsSync(path.join(place, "register"))) {
    await mustRun(["mount", "-t", "binfmt_misc", "binfmt_misc", place]);
    undo.defer(async () => {
      await mustRun(["umount", place]);
    });
  }
  const name = `gantry-test-${String(process.pid)}`;
  const line = `:${name}:M::${rule.magic}:${rule.mask}:${rule.interpreter}:F`;
  await writeFile(path.join(place, "register"), line);
  const file = path.join(place, name);
  undo.defer(() => writeFile(file, "-1"));
  const registered = undo.move();
  return {
    enable: (enabled) => writeFile(file, enabled ? "1" : "0"),
    [Symbol.asyncDispose]: () => registered.disposeAsync(),
  };
}
