/** A process whose memory map is held because of a frozen disk: whoever reads its `cmdline` waits, too. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { eventually } from "./eventually.ts";
import { openLoopFilesystem } from "./loop-filesystem.ts";

/** One thread writes to a mapped page of the file; the other wants to map something while that waits. */
const stuckProgram = `
import ctypes, mmap, os, sys, threading, time
libc = ctypes.CDLL(None)
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 4096)
file = mmap.mmap(fd, 4096)
page = ctypes.addressof(ctypes.c_char.from_buffer(file))
print("mapped", flush=True)
sys.stdin.readline()
writer = threading.Thread(target=lambda: libc.memset(page, 1, 1))
writer.start()
def state():
    return open(f"/proc/self/task/{writer.native_id}/stat").read().rpartition(") ")[2][0]
while state() != "D":
    time.sleep(0.01)
mmap.mmap(-1, 4096)
`;

/** How many threads of a process wait for a disk, or for each other because of one. */
function waiting(pid: number): number {
  const states = globSync(`/proc/${String(pid)}/task/*/stat`).map((file) =>
    readFileSync(file, "utf8"),
  );
  return states.filter((stat) => stat.slice(stat.lastIndexOf(")")).startsWith(") D")).length;
}

/** Disposing it thaws the disk, which ends the process. */
export interface StuckProcess extends AsyncDisposable {
  readonly pid: number;
  /** A file on the frozen disk that it has open. */
  readonly file: string;
}

/** Starts one, and freezes its disk under it. */
export async function openStuckProcess(): Promise<StuckProcess> {
  const disk = await openLoopFilesystem(64 * 2 ** 20);
  const file = path.join(disk.path, "file");
  const stuck = spawn("python3", ["-c", stuckProgram, file], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const release = async (): Promise<void> => {
    await disk.thaw();
    stuck.stdin.end("\n");
    if (stuck.exitCode === null) await once(stuck, "exit");
    await disk[Symbol.asyncDispose]();
  };
  try {
    await once(stuck.stdout, "data");
    await disk.freeze();
    stuck.stdin.end("\n");
    await eventually(() => waiting(stuck.pid ?? 0) === 2);
  } catch (error) {
    await release();
    throw error;
  }
  return { pid: stuck.pid ?? 0, file, [Symbol.asyncDispose]: release };
}
