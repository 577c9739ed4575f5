// The unpack program's sandbox, attacked from inside: a test build does what stdin says at the point where the real
// one begins to read hostile input.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { makeDirectory, runUnpack, sh, startUnpack } from "./unpack-program.ts";

const build = "build-attack";
const native = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
assert.ok(process.getuid?.() === 0, "the unpack program's tests need root");
assert.ok(
  existsSync(path.join(native, build, "unpack")),
  "build the attacker first: make -C native attack",
);

function makeWork(t: TestContext): { work: string; root: string; lower: string; guard: string } {
  const made = makeDirectory();
  t.after(made.remove);
  const directories = ["root", "lower", "guard"].map((name) => path.join(made.path, name));
  for (const directory of directories) mkdirSync(directory);
  const [root = "", lower = "", guard = ""] = directories;
  writeFileSync(path.join(guard, "secret"), "untouched");
  return { work: made.path, root, lower, guard };
}

/** Numbers on x86-64 (the first) and elsewhere; asm/unistd.h. */
const calls: Record<string, [number, number]> = {
  socket: [41, 198],
  connect: [42, 203],
  clone: [56, 220],
  fork: [57, -1],
  vfork: [58, -1],
  execve: [59, 221],
  kill: [62, 129],
  ptrace: [101, 117],
  setuid: [105, 146],
  setresuid: [117, 147],
  pivot_root: [155, 41],
  prctl: [157, 167],
  chroot: [161, 51],
  mount: [165, 40],
  umount2: [166, 39],
  reboot: [169, 142],
  init_module: [175, 105],
  unshare: [272, 97],
  splice: [275, 76],
  open_by_handle_at: [304, 265],
  setns: [308, 268],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  seccomp: [317, 277],
  memfd_create: [319, 279],
  bpf: [321, 280],
  execveat: [322, 281],
  userfaultfd: [323, 282],
  io_uring_setup: [425, 425],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  pidfd_open: [434, 434],
  clone3: [435, 435],
  pidfd_getfd: [438, 438],
  mount_setattr: [442, 442],
};

describe("the unpack program's sandbox, from inside", () => {
  for (const mode of [["unpack"], ["apply", "--path", "/"]]) {
    it(`kills ${mode[0]} for any system call outside its list`, async (t) => {
      const { root } = makeWork(t);
      for (const [name, numbers] of Object.entries(calls)) {
        const number = numbers[process.arch === "x64" ? 0 : 1];
        if (number < 0) continue;
        const outcome = await runUnpack(build, root, mode, {
          input: Buffer.from(`call ${number}\n`),
        });
        assert.deepEqual([outcome.signal, outcome.report], ["SIGSYS", undefined], name);
      }
    });

    it(`gives ${mode[0]} no memory to run code in`, async (t) => {
      const outcome = await runUnpack(build, makeWork(t).root, mode, {
        input: Buffer.from("executable\n"),
      });
      assert.equal(outcome.signal, "SIGSYS");
    });

    it(`lets ${mode[0]} reach nothing outside its directory, by whatever name or descriptor`, async (t) => {
      const { root, guard } = makeWork(t);
      const order = Buffer.from(`walk ${guard}/secret\n`);
      const { report } = await runUnpack(build, root, mode, { input: order });
      // What it "reached" are files that it made in its own directory.
      assert.match(String(report?.["result"]), /^reached \d+$/);
      assert.deepEqual(readdirSync(guard), ["secret"]);
      assert.equal(statSync(path.join(guard, "secret")).size, 9);
      const made = readdirSync(root);
      assert.deepEqual(made, ["secret"]);
      assert.equal(sh("cat secret", root), "", "the secret's content must not be here");
    });

    it(`lets ${mode[0]} make devices but open none`, async (t) => {
      const { root } = makeWork(t);
      const [major, minor] = sh("lsblk -rno MAJ:MIN | head -1", root).trim().split(":");
      const { report } = await runUnpack(build, root, mode, {
        input: Buffer.from(`device ${major} ${minor}\n`),
      });
      assert.equal(report?.["result"], "refused EACCES");
    });
  }

  it("shows lower layers read-only, and nothing above them", async (t) => {
    const { root, lower, guard } = makeWork(t);
    writeFileSync(path.join(lower, "file"), "lower");
    const input = Buffer.from(`walk ${guard}/secret\n`);
    await runUnpack(build, root, ["unpack", "--lowers", "1"], { input, extra: [lower] });
    assert.deepEqual([readdirSync(lower), readdirSync(guard)], [["file"], ["secret"]]);
  });

  it("holds no descriptor but those of the contract", async (t) => {
    const { root, work } = makeWork(t);
    const running = startUnpack(
      "build",
      root,
      ["unpack"],
      [path.join(work, "guard"), path.join(work, "lower")],
    );
    const fds = `/proc/${running.child.pid}/fd`;
    const deadline = Date.now() + 60_000;
    // The reading thread exists, so the sandbox stands.
    while (readdirSync(`/proc/${running.child.pid}/task`).length < 2)
      assert.ok(Date.now() < deadline);
    const targets = sh(`ls -l ${fds} | sed -n 's/.*-> //p'`, work).trim().split("\n");
    assert.deepEqual(
      targets.filter((target) => target.startsWith(work)),
      [],
    );
    assert.ok(targets.length <= 6, targets.join(" "));
    const status = sh(`cat /proc/${running.child.pid}/status`, work);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN, MKNOD, SETFCAP.
    assert.match(status, /^CapEff:\s+000000008820001b$/m);
    assert.match(status, /^CapBnd:\s+000000008820001b$/m);
    const networks = [running.child.pid, process.pid].map((pid) =>
      sh(`readlink /proc/${pid}/ns/net`, work),
    );
    assert.notEqual(networks[0], networks[1]);
    running.stdin.end();
    assert.equal((await running.outcome).report?.ok, true);
  });
});
