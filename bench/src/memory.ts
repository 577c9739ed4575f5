/**
 * Memory of an engine: every process of the machine's PID namespace whose
 * command line or environment carries the engine's mark or that descends from such a process. The containers'
 * own processes live in PID namespaces of their own and don't count.
 */
import { readdir, readFile, readlink } from "node:fs/promises";

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly commandLine: string;
  readonly environment: string;
}

/** PIDs of an engine. `except`: command lines that hold one of these texts don't count (a development supervisor). */
export async function enginePids(mark: string, except: readonly string[] = []): Promise<number[]> {
  const own = await readlink("/proc/self/ns/pid");
  const processes = (
    await Promise.all(
      (
        await readdir("/proc")
      )
        .filter((name) => /^\d+$/.test(name))
        .map((name) => readProcess(Number(name), own)),
    )
  ).filter((process) => process !== undefined);
  const members = new Set(
    processes
      .filter((process) => process.commandLine.includes(mark) || process.environment.includes(mark))
      .map((process) => process.pid),
  );
  for (let size = -1; size !== members.size; ) {
    size = members.size;
    for (const process of processes) if (members.has(process.parent)) members.add(process.pid);
  }
  members.delete(process.pid);
  return processes
    .filter(
      (process) =>
        members.has(process.pid) && !except.some((text) => process.commandLine.includes(text)),
    )
    .map((process) => process.pid);
}

/** Sum of the proportional set sizes in KiB (proc_pid_smaps_rollup). */
export async function pssKiB(pids: readonly number[]): Promise<number> {
  let sum = 0;
  for (const pid of pids) {
    const text = await readIfThere(`/proc/${String(pid)}/smaps_rollup`);
    sum += Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0);
  }
  return sum;
}

async function readProcess(pid: number, ownNamespace: string): Promise<Process | undefined> {
  try {
    if ((await readlink(`/proc/${String(pid)}/ns/pid`)) !== ownNamespace) return undefined;
    const stat = await readFile(`/proc/${String(pid)}/stat`, "utf8");
    const commandLine = (await readFile(`/proc/${String(pid)}/cmdline`, "utf8")).replaceAll(
      "\0",
      " ",
    );
    const environment = await readFile(`/proc/${String(pid)}/environ`, "utf8");
    return {
      pid,
      parent: Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]),
      commandLine,
      environment,
    };
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

/** Empty for a file of a process that has ended. */
export async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isHidden(error)) return "";
    throw error;
  }
}

/** Processes that have ended, and those of the machine that show themselves to nobody. */
function isHidden(error: unknown): boolean {
  const codes = ["ENOENT", "ESRCH", "EACCES"];
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
