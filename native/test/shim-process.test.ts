import assert from "node:assert/strict";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { describe, it } from "node:test";
import { kernel, Playground } from "./shim-driver.ts";
import { failure, output, sh } from "./shim-output.ts";
import { processOf } from "./shim-plan.ts";

describe("the process", () => {
  it("has nothing open but its streams", async () => {
    // The shell does not open anything; a list of its own process would hold the list itself.
    assert.equal(
      await output(sh("ls /proc/$$/fd; readlink /proc/$$/fd/0; exit 0")),
      "0\n1\n2\n/dev/null\n",
    );
  });

  it("has the capabilities, groups and limits of its plan", async () => {
    const status = await output({
      process: processOf(
        ["sh", "-c", "cat /proc/self/status /proc/self/limits /proc/self/oom_score_adj; umask"],
        {
          capabilities: {
            bounding: 0x3n,
            effective: 0x1n,
            permitted: 0x1n,
            inheritable: 0x1n,
            ambient: 0x1n,
          },
          user: "1000:1000",
          noNewPrivileges: true,
          oomScoreAdj: 500,
          setOomScoreAdj: true,
          rlimits: [{ resource: 7, soft: 5n, hard: 6n }],
          umask: 0o27,
          setUmask: true,
        },
      ),
    });
    assert.match(
      status,
      /CapInh:\t0000000000000001\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000001\nCapBnd:\t0000000000000003\nCapAmb:\t0000000000000001/,
    );
    assert.match(status, /Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000/);
    assert.match(status, /Groups:\t1000 \n/);
    assert.match(status, /NoNewPrivs:\t1/);
    assert.match(status, /Max open files +5 +6/);
    assert.match(status, /\n500\n0027\n$/);
  });

  it("keeps no capability when it is not root", async () => {
    const status = await output({
      process: processOf(["cat", "/proc/self/status"], { user: "1000" }),
    });
    assert.match(
      status,
      /CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb/,
    );
  });

  it("runs under its seccomp program", async () => {
    const { seccompProgram } = await denyMkdir();
    for (const noNewPrivileges of [false, true]) {
      const text = await output({
        process: processOf(["sh", "-c", "mkdir /x 2>&1; grep Seccomp: /proc/self/status"], {
          seccompProgram,
          noNewPrivileges,
        }),
      });
      assert.match(text, /Operation not permitted\nSeccomp:\t2/);
    }
  });

  it("starts in a working directory that is made for it", async () => {
    assert.equal(await output({ process: processOf(["pwd"], { cwd: "/a/b" }) }), "/a/b\n");
  });

  it("does not start in a descriptor of ours", async () => {
    for (const cwd of [
      "/proc/self/fd/3",
      "/proc/self/fd/7",
      "/proc/thread-self/fd/8/..",
      "/link",
    ]) {
      const failed = await failure({ process: processOf(["pwd"], { cwd }) }, (playground) => {
        symlinkSync("/proc/self/fd/7", playground.path("lower/link"));
      });
      assert.equal(failed.step, "chdir", cwd);
    }
  });

  it("has a home by its user, unless the environment names one", async () => {
    assert.equal(
      await output({ process: processOf(["sh", "-c", "echo $HOME"], { user: "user" }) }),
      "/home/user\n",
    );
    assert.equal(
      await output({ process: processOf(["sh", "-c", "echo $HOME"], { user: "4444" }) }),
      "/\n",
    );
    assert.equal(
      await output({
        process: processOf(["sh", "-c", "echo $HOME"], { env: ["HOME=/x", "PATH=/bin"] }),
      }),
      "/x\n",
    );
    assert.equal(
      await output({
        process: processOf(["sh", "-c", "echo $HOME"], {
          user: "user",
          env: ["HOME=", "PATH=/bin"],
        }),
      }),
      "/home/user\n",
    );
  });

  it("can open its own streams again as any user", async () => {
    assert.equal(
      await output({
        process: processOf(["sh", "-c", "echo a > /dev/stdout; echo b > /proc/self/fd/2"], {
          user: "1000",
        }),
      }),
      "a\nb\n",
    );
  });
});

/** A filter that answers EPERM to mkdir and mkdirat. */
async function denyMkdir(): Promise<{ seccompProgram: Uint8Array }> {
  const program = await kernel.compileSeccomp({
    defaultAction: 0x7fff0000,
    architectures: [],
    rules: [{ action: 0x00050001, names: ["mkdir", "mkdirat"], conditions: [] }],
    refuseSocketcallSocket: false,
  });
  return { seccompProgram: program };
}

describe("the user", () => {
  const ids = async (
    user: string,
    additionalGroups: string[] = [],
    prepare?: (playground: Playground) => void,
  ): Promise<string[]> =>
    (
      await output(
        { process: processOf(["cat", "/proc/self/status"], { user, additionalGroups }) },
        prepare,
      )
    )
      .split("\n")
      .filter((line) => /^(Uid|Gid|Groups):/.test(line))
      .map((line) =>
        (line.startsWith("Groups") ? line : line.split("\t").slice(0, 2).join("\t")).trim(),
      );

  it("is root with root's groups when none is named", async () => {
    assert.deepEqual(await ids(""), ["Uid:\t0", "Gid:\t0", "Groups:\t0 10"]);
  });
  it("is found by name, with the groups that list it", async () => {
    assert.deepEqual(await ids("user"), ["Uid:\t1000", "Gid:\t1000", "Groups:\t10 29 1000"]);
  });
  it("has only the named group", async () => {
    assert.deepEqual(await ids("user:audio"), ["Uid:\t1000", "Gid:\t29", "Groups:\t29"]);
    assert.deepEqual(await ids("12:34"), ["Uid:\t12", "Gid:\t34", "Groups:\t34"]);
  });
  it("gets additional groups by name and number", async () => {
    assert.deepEqual(await ids("12", ["audio", "77"]), ["Uid:\t12", "Gid:\t0", "Groups:\t0 29 77"]);
  });

  const range = "uids and gids must be in range 0-2147483647";
  for (const [user, text] of [
    ["nobody", "unable to find user nobody: no matching entries in passwd file"],
    ["evil", "unable to find user evil: no matching entries in passwd file"],
    ["root:nogroup", "unable to find group nogroup: no matching entries in group file"],
    ["4294967296", range],
    ["2147483648", range],
    ["-1", range],
    ["99999999999999999999", range],
    ["0:4294967296", range],
  ] as const) {
    it(`is refused: ${user}`, async () => {
      const failed = await failure({ process: processOf(["true"], { user }) });
      assert.equal(failed.message, text);
      assert.equal(failed.step, "user");
    });
  }

  it("is read from no part of a line that is longer than any real one", async () => {
    const passwd = `${"x".repeat(64 * 1024)}tail:x:7:7::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n`;
    const prepare = (playground: Playground): void => {
      writeFileSync(playground.path("lower/etc/passwd"), passwd);
    };
    assert.equal((await ids("user", [], prepare))[0], "Uid:\t1000");
    await using playground = await Playground.make();
    prepare(playground);
    const shim = playground.launch({ process: processOf(["true"], { user: "tail" }) });
    const failed = await shim.message("startFailed");
    assert.match(failed.message, /^unable to find user tail: no matching entries/);
  });

  it("is never read from a FIFO, a device or a file of a gigabyte", async () => {
    for (const make of ["mkfifo", "device", "big"]) {
      await using playground = await Playground.make();
      rmSync(playground.path("lower/etc/passwd"));
      const { execFileSync } = await import("node:child_process");
      if (make === "mkfifo") execFileSync("mkfifo", [playground.path("lower/etc/passwd")]);
      if (make === "device")
        execFileSync("mknod", [playground.path("lower/etc/passwd"), "c", "1", "5"]);
      if (make === "big")
        execFileSync("truncate", ["-s", "1G", playground.path("lower/etc/passwd")]);
      const shim = playground.launch({ process: processOf(["true"], { user: "user" }) });
      const failed = await shim.message("startFailed");
      assert.match(failed.message, /^unable to find user user: /);
    }
  });

  it("is not started when its AppArmor profile's name is longer than the kernel takes", async () => {
    const failed = await failure({
      process: processOf(["true"], { apparmorProfile: "p".repeat(5000) }),
    });
    assert.deepEqual([failed.step, failed.errnoValue], ["apparmor", constants.errno.ENAMETOOLONG]);
  });
});
