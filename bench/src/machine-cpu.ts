/** CPU time of the whole machine: what short-lived children cost counts, too. */
import { readFile } from "node:fs/promises";

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
