/** CPU time while something runs: of an engine alone, or of the whole machine. */
import { readFile } from "node:fs/promises";
import type { Engine } from "./engine.ts";
import { enginePids, readIfThere } from "./memory.ts";

/** Clock ticks of /proc are hundredths of a second on every Linux. */
const tickMs = 10;

/**
 * CPU time that an engine's processes spend while something runs, in milliseconds, with what their
 * children spent that have ended meanwhile. What else the machine does meanwhile does not count.
 */
export async function engineCpuOf(engine: Engine, act: () => Promise<unknown>): Promise<number> {
  const before = await engineBusyMs(engine);
  await act();
  return (await engineBusyMs(engine)) - before;
}

async function engineBusyMs({ mark }: Engine): Promise<number> {
  let sum = 0;
  for (const pid of await enginePids(mark)) {
    const stat = await readIfThere(`/proc/${String(pid)}/stat`);
    // After the name: utime, stime, cutime, cstime are the 12th to the 15th (proc_pid_stat).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    for (const field of fields.slice(11, 15)) sum += Number(field) * tickMs;
  }
  return sum;
}

/** CPU time that the machine spends while something runs, in milliseconds. */
export async function machineCpuOf(act: () => Promise<unknown>): Promise<number> {
  const before = await machineBusyMs();
  await act();
  return (await machineBusyMs()) - before;
}

async function machineBusyMs(): Promise<number> {
  const line = (await readFile("/proc/stat", "utf8")).split("\n")[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) * 10;
}
