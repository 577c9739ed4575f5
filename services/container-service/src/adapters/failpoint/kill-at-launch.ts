/**
 * For crash tests: ends this process at a chosen step of a launch. GANTRY_FAILPOINT=file:<path> in the
 * environment asks for it; the file says where, `<step>:<n>`: SIGKILL at the nth launch from then on that
 * comes so far. With `:shim` behind it the shim process is killed first, with `:term` it is SIGTERM. The
 * file is removed when it happens.
 */
import { readFileSync, rmSync } from "node:fs";
import process from "node:process";
import { hasErrno } from "@gantry/errors";

/** What to call at each step. Does nothing without a request. */
export function launchFailpoint(
  env: Readonly<Record<string, string>>,
): (step: string, shimPid: number) => void {
  const file = /^file:(.+)$/.exec(env["GANTRY_FAILPOINT"] ?? "")?.[1];
  if (file === undefined) return () => undefined;
  let count = 0;
  return (step, shimPid) => {
    const asked = /^([a-z]+):(\d+)(:shim|:term)?$/.exec(readOrEmpty(file));
    if (asked?.[1] !== step) return;
    count += 1;
    if (count !== Number(asked[2])) return;
    rmSync(file);
    if (asked[3] === ":shim" && shimPid !== 0) killIfThere(shimPid);
    process.kill(process.pid, asked[3] === ":term" ? "SIGTERM" : "SIGKILL");
  };
}

/** What a failpoint asks for; empty when there is no such file. */
export function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return "";
    throw error;
  }
}

/** Its container may have ended by now. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!hasErrno(error, "ESRCH")) throw error;
  }
}
