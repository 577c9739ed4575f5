/** Whether a process runs no more, reaped or not. */
import { readFileSync } from "node:fs";

/**
 * True when no process has this PID, or when it is a zombie (proc_pid_stat(5), state Z or X). A process that is
 * on its way out has left its cgroups already, and is neither for some moments: wait for this, do not ask once.
 */
export function hasEnded(pid: number): boolean {
  try {
    return /^State:\t[ZX]/m.test(readFileSync(`/proc/${String(pid)}/status`, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return true;
    throw error;
  }
}
