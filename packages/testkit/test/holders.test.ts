import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { run } from "@gantry/testkit/run";

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

const findHolders = JSON.stringify(import.meta.resolve("@gantry/testkit/holders"));

describe("findHolders", () => {
  it("answers while a stranger's memory map is held because of a frozen disk", async () => {
    await using disk = await openLoopFilesystem(64 * 2 ** 20);
    const file = path.join(disk.path, "file");
    const stuck = spawn("python3", ["-c", stuckProgram, file], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      await once(stuck.stdout, "data");
      await disk.freeze();
      stuck.stdin.end("\n");
      await eventually(() => waiting(stuck.pid ?? 0) === 2);
      const cmdline = ["cat", `/proc/${String(stuck.pid)}/cmdline`];
      // Intentionally short: this one does not end by itself.
      assert.equal((await run(cmdline, { timeoutMs: 500 })).code, 137);
      const look = `import { findHolders } from ${findHolders}; console.log(findHolders(${JSON.stringify(file)})[0].pid)`;
      const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", look];
      const looked = await run([process.execPath, ...args], { timeoutMs: 30_000 });
      assert.equal(looked.stdout, `${String(stuck.pid)}\n`, looked.stderr);
    } finally {
      await disk.thaw();
      if (stuck.exitCode === null) await once(stuck, "exit");
    }
  });
});
