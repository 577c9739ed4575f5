import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const native = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const builds = ["build", "build-asan"].filter((name) =>
  existsSync(path.join(native, name, "init")),
);
assert.ok(builds.length > 0, "build the init program first: make -C native all asan");
assert.ok(process.getuid?.() === 0, "the init program's tests need root");

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** Runs the program as PID 1 of a namespace. */
function startInit(build: string, ...command: string[]): Child {
  return spawn(
    "unshare",
    ["--pid", "--fork", "--kill-child", path.join(native, build, "init"), ...command],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ASAN_OPTIONS: "detect_leaks=0" },
    },
  );
}

async function outcome(
  child: Child,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** The program itself, below unshare(1). */
function initPid(child: Child): number {
  return Number(
    readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ")[0],
  );
}

for (const build of builds) {
  describe(`init (${build})`, () => {
    const cases: [string, string[], number][] = [
      ["exits as the command does", ["--", "sh", "-c", "exit 7"], 7],
      ["takes the command without dashes", ["sh", "-c", "exit 9"], 9],
      [
        "exits with 128 and the signal that ended the command",
        ["--", "sh", "-c", "kill -9 $$"],
        137,
      ],
      ["exits with 127 when there is no such command", ["--", "no-such-command"], 127],
      ["exits with 126 when the command cannot be run", ["--", "/etc"], 126],
      ["exits with 2 without a command", ["--"], 2],
    ];
    for (const [what, command, code] of cases) {
      it(what, async () => {
        const result = await outcome(startInit(build, ...command));
        assert.equal(result.code, code, result.stderr);
      });
    }

    it("passes signals on to the command", async () => {
      for (const signal of ["TERM", "HUP", "USR1", "INT"]) {
        const child = startInit(
          build,
          "--",
          "sh",
          "-c",
          `trap 'echo got ${signal}; exit 5' ${signal}; echo ready; while :; do sleep 0.05; done`,
        );
        const result = outcome(child);
        await once(child.stdout, "data");
        process.kill(initPid(child), `SIG${signal}`);
        assert.deepEqual(
          [(await result).code, (await result).stdout],
          [5, `ready\ngot ${signal}\n`],
        );
      }
    });

    it("reaps orphans", async () => {
      // The inner shell's child becomes an orphan at once, and must have gone from /proc when it has ended.
      const script = `
        mount -t proc proc /proc
        sh -c 'sleep 0.1 & echo $! > /proc/self/comm; echo $!' > /tmp/gantry-init-$$
        orphan=$(cat /tmp/gantry-init-$$); rm /tmp/gantry-init-$$
        while [ -e /proc/$orphan ]; do :; done
        echo reaped`;
      const child = startInit(build, "--", "unshare", "--mount", "sh", "-c", script);
      assert.equal((await outcome(child)).stdout, "reaped\n");
    });

    it("gives the command the signal mask that it was started with", async () => {
      const { stdout } = await outcome(
        startInit(build, "--", "grep", "SigBlk", "/proc/thread-self/status"),
      );
      // Node starts its children with nothing blocked.
      assert.match(stdout, /SigBlk:\s+0+$/m);
    });

    it("puts the command into the terminal's foreground", async () => {
      const init = path.join(native, build, "init");
      // Fields 5 and 8 of stat: the process group, and the terminal's foreground group.
      const command = `unshare --pid --fork ${init} -- sh -c 'read -r _ _ _ _ group _ _ foreground _ < /proc/self/stat; echo $group = $foreground'`;
      const child = spawn("script", ["-qec", command, "/dev/null"], {
        stdio: ["ignore", "pipe", "pipe"],
      });
      const { stdout } = await outcome(child);
      const [group, foreground] = stdout.trim().split(" = ");
      assert.ok(group !== undefined && group !== "" && group === foreground, stdout);
    });

    // What a sanitizer costs is not the program's.
    if (build !== "build") return;
    it("costs little memory", async () => {
      const child = startInit(build, "--", "sh", "-c", "echo ready; exec sleep 60");
      const result = outcome(child);
      await once(child.stdout, "data");
      const smaps = readFileSync(`/proc/${initPid(child)}/smaps_rollup`, "utf8");
      // What is clean is the program file's, once for all containers.
      const privateKb = Number(/^Private_Dirty:\s+(\d+)/m.exec(smaps)?.[1]);
      process.kill(initPid(child), "SIGTERM");
      assert.equal((await result).code, 143);
      assert.ok(privateKb < 120, `${privateKb} kB`);
    });
  });
}
