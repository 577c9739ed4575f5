/** What both forms of ShimService must do, on real kernels with real shim processes. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type EngineError, resolveKind } from "@gantry/errors";
import { type LaunchResponse, LaunchResponseSchema } from "@gantry/proto/shim";
import { type EngineRoots, eventually, openEngineRoots } from "@gantry/testkit";
import {
  type Bundle,
  type BundleChanges,
  makeBundle,
  makeLower,
  privateNamespaces,
} from "./bundle.ts";
import { type EventLog, openEventLog } from "./event-log.ts";
import type { ShimClient, ShimForm } from "./forms.ts";

const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
const forever = ["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"];

function isAlive(pid: number): boolean {
  try {
    const state = /\) (\S)/.exec(readFileSync(`/proc/${String(pid)}/stat`, "utf8"))?.[1];
    return state !== "Z";
  } catch {
    return false;
  }
}

/** Reads a stream connection to its end. */
async function readStream(socketPath: string, ticket: Uint8Array): Promise<Buffer> {
  const socket = connect(socketPath);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  socket.write(ticket);
  await new Promise((resolve) => {
    socket.once("close", resolve);
  });
  return Buffer.concat(chunks);
}

async function rejection(promise: Promise<unknown>): Promise<EngineError> {
  try {
    await promise;
  } catch (error) {
    return error as EngineError;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}

export function shimSuite(name: string, openForm: (roots: EngineRoots) => Promise<ShimForm>): void {
  describe(name, () => {
    let roots: EngineRoots;
    let form: ShimForm;
    let events: EventLog;
    let lower: string;
    const launched = new Set<string>();
    const shim = (): ShimClient => form.client();

    before(async () => {
      roots = await openEngineRoots();
      lower = await makeLower(roots.config.dataRoot);
      form = await openForm(roots);
      events = openEventLog(shim());
      // A served watch begins when its first answer could come: any call after it is behind it.
      await shim().prepare({ id: "warm-up" });
      await shim().delete({ id: "warm-up" });
    });

    after(async () => {
      // What a failed test left running.
      for (const id of launched) await remove(id).catch(() => undefined);
      events[Symbol.dispose]();
      await form.close();
      await roots.close();
    });

    const bundleOf = async (args: string[], changes: BundleChanges = {}): Promise<Bundle> => {
      const bundle = await makeBundle(roots.config.dataRoot, lower, args, changes);
      launched.add(bundle.id);
      return bundle;
    };

    const cgroupFolders = (id: string): string[] =>
      globSync(`/sys/fs/cgroup/{*/,}${roots.config.cgroupParent}/${id}`);

    const launch = async (args: string[], changes: BundleChanges = {}) => {
      const bundle = await bundleOf(args, changes);
      const launched = await shim().launch(bundle.request);
      return { ...bundle, launched, remove: () => remove(bundle.id) };
    };

    const remove = async (id: string): Promise<void> => {
      await shim().kill({ id });
      await shim().delete({ id });
    };

    const ready = (logFile: string): Promise<unknown> =>
      eventually(() => existsSync(logFile) && readFileSync(logFile, "utf8").includes("ready"));

    const adopt = (bundle: Bundle, launched?: LaunchResponse) =>
      shim().adopt({
        id: bundle.id,
        bootId,
        exitRecordPath: bundle.request.exitRecordPath ?? "",
        ...(launched === undefined ? {} : { launched }),
      });

    const crash = async (): Promise<void> => {
      events[Symbol.dispose]();
      await form.crash();
      events = openEventLog(shim());
    };

    it("runs a bundle and tells of its end exactly once, with code and log", async () => {
      const { id, logFile, launched, request } = await launch(["sh", "-c", "echo hello; exit 3"]);
      assert.ok(launched.pid > 0 && launched.shimPid > 0 && launched.pidStartTicks > 0n);
      assert.equal((await events.first(id, "exited")).exitCode, 3);
      // The record was on disk before the event, in the place that was reserved for it.
      const record = readFileSync(request.exitRecordPath ?? "", "utf8");
      assert.equal(record.length, 512);
      assert.equal((JSON.parse(record) as { exitCode: number }).exitCode, 3);
      assert.match(readFileSync(logFile, "utf8"), /"log":"hello\\n"/);
      await eventually(() => !isAlive(launched.shimPid));
      assert.equal(events.of(id, "exited").length, 1);
      await shim().delete({ id });
      assert.deepEqual(cgroupFolders(id), []);
      assert.ok(!existsSync(path.join(roots.config.runRoot, "c", id)));
    });

    it("lets a client that attached before the start see everything", async () => {
      const bundle = await bundleOf(["sh", "-c", "echo early"]);
      await shim().prepare({ id: bundle.id });
      const { path: socket, ticket } = await shim().issueTicket({
        id: bundle.id,
        options: { stdout: true, framed: true },
      });
      const stream = readStream(socket, ticket);
      await shim().launch(bundle.request);
      assert.deepEqual([...(await stream)], [1, 0, 0, 0, 0, 0, 0, 6, ...Buffer.from("early\n")]);
      await events.first(bundle.id, "exited");
      await shim().delete({ id: bundle.id });
    });

    it("refuses a command that is not there with exit code 127 and Docker's words, and leaves nothing", async () => {
      const bundle = await bundleOf(["no-such-command"]);
      const { path: socket, ticket } = await shim().issueTicket({
        id: bundle.id,
        options: { stdout: true },
      });
      const stream = readStream(socket, ticket);
      const error = await rejection(shim().launch(bundle.request));
      assert.equal(error.kind, "invalid_argument");
      assert.equal(error.details.exitCode, 127);
      assert.match(
        error.message,
        /^failed to create task for container: .*exec: "no-such-command": executable file not found in \$PATH.*: unknown$/,
      );
      assert.equal((await stream).length, 0);
      assert.deepEqual(cgroupFolders(bundle.id), []);
      await shim().delete({ id: bundle.id });
    });

    it("refuses a file that is not executable with exit code 126", async () => {
      const error = await rejection(shim().launch((await bundleOf(["/etc/passwd"])).request));
      assert.deepEqual([error.kind, error.details.exitCode], ["invalid_argument", 126]);
      assert.match(error.message, /permission denied/);
    });

    it("refuses a bundle that is none", async () => {
      const bundle = await bundleOf(["true"]);
      const error = await rejection(
        shim().launch({ ...bundle.request, bundlePath: "/nonexistent" }),
      );
      assert.equal(error.kind, "invalid_argument");
    });

    it("can be launched after a failed launch", async () => {
      const broken = await bundleOf(["no-such-command"]);
      await rejection(shim().launch(broken.request));
      const whole = await bundleOf(["true"]);
      await shim().launch({ ...whole.request, id: broken.id });
      assert.equal((await events.first(broken.id, "exited")).exitCode, 0);
      await shim().delete({ id: broken.id });
    });

    it("refuses to launch what runs already", async () => {
      const bundle = await launch(forever);
      assert.equal((await rejection(shim().launch(bundle.request))).kind, "conflict");
      await bundle.remove();
    });

    it("can be launched again right after its end", async () => {
      const bundle = await launch(["true"]);
      for (let round = 2; round <= 4; round += 1) {
        await eventually(() => events.of(bundle.id, "exited").length === round - 1);
        await shim().launch(bundle.request);
      }
      await eventually(() => events.of(bundle.id, "exited").length === 4);
      await shim().delete({ id: bundle.id });
    });

    it("signals the first process", async () => {
      const { id, logFile } = await launch(forever);
      await ready(logFile);
      await shim().signalProcess({ id, signal: 15 });
      assert.equal((await events.first(id, "exited")).exitCode, 7);
      assert.equal((await rejection(shim().signalProcess({ id, signal: 15 }))).kind, "conflict");
      await shim().delete({ id });
    });

    it("refuses signals that are none", async () => {
      const { id, remove: end } = await launch(forever);
      assert.equal(
        (await rejection(shim().signalProcess({ id, signal: 0 }))).kind,
        "invalid_argument",
      );
      assert.equal(
        (await rejection(shim().signalProcess({ id, signal: 65 }))).kind,
        "invalid_argument",
      );
      await end();
    });

    it("kills what runs, twice without harm", async () => {
      const { id } = await launch(forever);
      assert.deepEqual((await shim().kill({ id })).unkillablePids, []);
      assert.deepEqual((await shim().kill({ id })).unkillablePids, []);
      const exited = await events.first(id, "exited");
      assert.deepEqual([exited.exitCode, exited.signal], [137, 9]);
      await shim().delete({ id });
    });

    it("freezes and thaws, and kills what is frozen", async () => {
      const bundle = await launch(forever);
      await shim().pause({ id: bundle.id });
      assert.equal((await adopt(bundle, bundle.launched)).paused, true);
      await shim().resume({ id: bundle.id });
      assert.equal((await adopt(bundle, bundle.launched)).paused, false);
      await shim().pause({ id: bundle.id });
      assert.deepEqual((await shim().kill({ id: bundle.id })).unkillablePids, []);
      assert.equal((await events.first(bundle.id, "exited")).exitCode, 137);
      await shim().delete({ id: bundle.id });
    });

    it("sets limits at the start and changes them while it runs", async () => {
      const resources = {
        memory: { limit: 64 << 20, swap: 64 << 20 },
        pids: { limit: 50 },
        cpu: { shares: 512 },
      };
      const { id, remove: end } = await launch(forever, { linux: { resources } });
      const before = await shim().getStats({ id });
      assert.equal(before.memoryLimitBytes, BigInt(64 << 20));
      assert.equal(before.pidsLimit, 50n);
      const more = { memory: { limit: 128 << 20, swap: 256 << 20 }, pids: { limit: 60 } };
      await shim().update({ id, resourcesJson: Buffer.from(JSON.stringify(more)) });
      const changed = await shim().getStats({ id });
      assert.equal(changed.memoryLimitBytes, BigInt(128 << 20));
      assert.equal(changed.pidsLimit, 60n);
      const less = { memory: { limit: 32 << 20, swap: 32 << 20 } };
      await shim().update({ id, resourcesJson: Buffer.from(JSON.stringify(less)) });
      assert.equal((await shim().getStats({ id })).memoryLimitBytes, BigInt(32 << 20));
      await end();
    });

    it("reads counters of cgroup and system", async () => {
      const { id, remove: end } = await launch(["sh", "-c", "while :; do :; done"]);
      const stats = await eventually(async () => {
        const read = await shim().getStats({ id });
        return read.cpuTotalNs > 0n && read.memoryUsageBytes > 0n ? read : undefined;
      });
      assert.ok(stats.systemCpuNs > stats.cpuTotalNs);
      assert.ok(stats.onlineCpus > 0 && stats.pidsCurrent >= 1n);
      assert.ok(Object.keys(stats.memoryStats).length > 10);
      assert.deepEqual(stats.interfaces, []);
      await end();
    });

    it("lists the processes", async () => {
      const { id, launched, remove: end } = await launch(["sh", "-c", "sleep 100 & wait"]);
      const pids = await eventually(async () => {
        const listed = (await shim().listPids({ id })).pids;
        return listed.length === 2 && listed;
      });
      assert.ok(pids.includes(launched.pid));
      await end();
    });

    it("executes further processes at once, and tells of their end", async () => {
      const { id, remove: end } = await launch(forever);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["sh", "-c", "exit 5"], env: ["PATH=/bin"] }),
      );
      const { pid } = await shim().execProcess({ id, execId: "one", processJson });
      assert.ok(pid > 0);
      const exited = await events.first(id, "execExited");
      assert.deepEqual([exited.execId, exited.exitCode], ["one", 5]);
      await end();
    });

    it("executes a process on the connection of its ticket", async () => {
      const { id, remove: end } = await launch(forever);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/tmp", args: ["sh", "-c", "id -u; pwd"], env: ["PATH=/bin"] }),
      );
      const { ticket } = await shim().execProcess({
        id,
        execId: "two",
        processJson,
        user: "user",
        startOnAttach: true,
        options: { stdout: true, stderr: true },
      });
      assert.ok(ticket !== undefined);
      assert.equal((await readStream(ticket.path, ticket.ticket)).toString(), "1000\n/tmp\n");
      assert.equal((await events.first(id, "execExited")).exitCode, 0);
      await end();
    });

    it("refuses an exec of what is not there with exit code 127", async () => {
      const { id, remove: end } = await launch(forever);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["nowhere"], env: ["PATH=/bin"] }),
      );
      const error = await rejection(shim().execProcess({ id, execId: "three", processJson }));
      assert.deepEqual([error.kind, error.details.exitCode], ["invalid_argument", 127]);
      assert.match(
        error.message,
        /^OCI runtime exec failed: exec failed: .*executable file not found in \$PATH.*: unknown$/,
      );
      await end();
    });

    it("notices within a second that a shim process was killed, and ends its container with 137", async () => {
      const { id, launched } = await launch(["sh", "-c", "sleep 1000 & exec sleep 1000"]);
      process.kill(launched.shimPid, "SIGKILL");
      const from = performance.now();
      const exited = await events.first(id, "exited");
      assert.ok(performance.now() - from < 1_000);
      assert.deepEqual([exited.exitCode, exited.signal], [137, 9]);
      await eventually(() => !isAlive(launched.pid));
      assert.deepEqual(cgroupFolders(id), []);
      assert.equal(events.of(id, "exited").length, 1);
      await shim().delete({ id });
    });

    it("answers for others, and kills, while a shim process is frozen", async () => {
      const frozen = await launch(forever);
      const other = await launch(forever);
      process.kill(frozen.launched.shimPid, "SIGSTOP");
      await shim().getStats({ id: frozen.id });
      await shim().listPids({ id: frozen.id });
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["true"], env: ["PATH=/bin"] }),
      );
      await shim().execProcess({ id: other.id, execId: "alive", processJson });
      await shim().kill({ id: frozen.id });
      assert.equal((await events.first(frozen.id, "exited")).exitCode, 137);
      await shim().delete({ id: frozen.id });
      await other.remove();
    });

    it("adopts a running container after a crash: it executes, tells of its end, and nothing was lost", async () => {
      const bundle = await launch(forever);
      await ready(bundle.logFile);
      await crash();
      const adopted = await adopt(bundle, bundle.launched);
      assert.equal(adopted.running, true);
      assert.equal(adopted.launched?.pid, bundle.launched.pid);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["true"], env: ["PATH=/bin"] }),
      );
      await shim().execProcess({ id: bundle.id, execId: "after", processJson });
      assert.equal((await events.first(bundle.id, "execExited")).exitCode, 0);
      await shim().signalProcess({ id: bundle.id, signal: 15 });
      assert.equal((await events.first(bundle.id, "exited")).exitCode, 7);
      await shim().delete({ id: bundle.id });
    });

    it("adopts what a crash in the middle of a launch left running, without its answer", async () => {
      const bundle = await launch(forever);
      await crash();
      const adopted = await adopt(bundle);
      assert.equal(adopted.running, true);
      assert.equal(adopted.launched?.pid, bundle.launched.pid);
      await bundle.remove();
    });

    it("tells of a run whose shim process was killed before anybody heard of its start", async () => {
      const nonce = new Uint8Array(16).fill(7);
      const bundle = await launch(forever, { launch: { nonce } });
      await crash();
      process.kill(bundle.launched.shimPid, "SIGKILL");
      await eventually(() => !isAlive(bundle.launched.shimPid));
      const adopted = await adopt(bundle, create(LaunchResponseSchema, { nonce }));
      assert.deepEqual(
        [adopted.running, adopted.exited?.exitCode, adopted.launched?.pid],
        [false, 137, bundle.launched.pid],
      );
      assert.ok((adopted.launched?.startedAtNano ?? 0n) > 0n);
      await bundle.remove();
    });

    it("does not take an earlier run for one that has not begun", async () => {
      const bundle = await launch(["sh", "-c", "exit 4"]);
      await events.first(bundle.id, "exited");
      await crash();
      const nonce = new Uint8Array(16).fill(9);
      const adopted = await adopt(bundle, create(LaunchResponseSchema, { nonce }));
      assert.deepEqual([adopted.running, adopted.launched], [false, undefined]);
      await bundle.remove();
    });

    it("leaves nothing of a start that failed in the record of its run", async () => {
      const bundle = await bundleOf(["/nowhere"]);
      await rejection(shim().launch(bundle.request));
      const record = readFileSync(bundle.request.exitRecordPath ?? "", "utf8");
      assert.equal(record, " ".repeat(512));
      await remove(bundle.id);
    });

    it("leaves a launch to itself whose caller goes away", async () => {
      const bundle = await bundleOf(forever);
      const caller = new AbortController();
      const started = shim().launch(bundle.request, { signal: caller.signal });
      const runFile = path.join(roots.config.runRoot, "c", bundle.id, "shim.json");
      await eventually(() => existsSync(runFile));
      caller.abort();
      // It may have been told in time.
      await started.catch((error: unknown) => {
        assert.equal(resolveKind(error), "canceled");
      });
      const adopted = await shim().adopt({
        id: bundle.id,
        bootId,
        exitRecordPath: bundle.request.exitRecordPath ?? "",
        startTimeoutMs: 10_000,
      });
      assert.equal(adopted.running, true);
      assert.ok((adopted.launched?.pid ?? 0) > 0);
      await remove(bundle.id);
    });

    it("finds out the true code of a container that ended while nobody looked", async () => {
      const bundle = await launch(forever);
      await ready(bundle.logFile);
      await crash();
      process.kill(bundle.launched.pid, "SIGTERM");
      await eventually(() => !isAlive(bundle.launched.shimPid));
      const adopted = await adopt(bundle, bundle.launched);
      assert.equal(adopted.running, false);
      assert.equal(adopted.exited?.exitCode, 7);
      await shim().delete({ id: bundle.id });
    });

    it("cleans up after a shim process that was killed while nobody looked", async () => {
      const bundle = await launch(["sh", "-c", "sleep 1000 & exec sleep 1000"]);
      await crash();
      process.kill(bundle.launched.shimPid, "SIGKILL");
      await eventually(() => !isAlive(bundle.launched.shimPid));
      const adopted = await adopt(bundle, bundle.launched);
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 137]);
      assert.ok(!isAlive(bundle.launched.pid));
      assert.deepEqual(cgroupFolders(bundle.id), []);
    });

    it("ends a container whose run folder was taken away, since nobody could stop it any more", async () => {
      const bundle = await launch(["sh", "-c", "sleep 1000 & exec sleep 1000"]);
      await crash();
      rmSync(path.join(roots.config.runRoot, "c"), { recursive: true });
      const adopted = await adopt(bundle, bundle.launched);
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 137]);
      assert.ok(!isAlive(bundle.launched.shimPid));
      assert.ok(!isAlive(bundle.launched.pid));
      assert.deepEqual(cgroupFolders(bundle.id), []);
    });

    it("says running of a frozen shim process, and hears of it when it thaws", async () => {
      const bundle = await launch(forever);
      await ready(bundle.logFile);
      await crash();
      process.kill(bundle.launched.shimPid, "SIGSTOP");
      assert.equal((await adopt(bundle, bundle.launched)).running, true);
      process.kill(bundle.launched.shimPid, "SIGCONT");
      process.kill(bundle.launched.pid, "SIGTERM");
      assert.equal((await events.first(bundle.id, "exited")).exitCode, 7);
      await shim().delete({ id: bundle.id });
    });

    it("waits for a shim process that was too busy to be adopted, when something is asked of it", async () => {
      const bundle = await launch(forever);
      await crash();
      process.kill(bundle.launched.shimPid, "SIGSTOP");
      assert.equal((await adopt(bundle, bundle.launched)).running, true);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["true"], env: ["PATH=/bin"] }),
      );
      const asked = shim().execProcess({ id: bundle.id, execId: "late", processJson });
      process.kill(bundle.launched.shimPid, "SIGCONT");
      assert.ok((await asked).pid > 0);
      await bundle.remove();
    });

    it("takes a container of another boot for lost", async () => {
      const launched = { pid: 1, shimPid: 1, shimStartTicks: 1n, nonce: new Uint8Array([1]) };
      const adopted = await shim().adopt({ id: "lost", bootId: "another", launched });
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 255]);
    });

    it("does not take another process with the same number for its own", async () => {
      const launched = {
        pid: process.pid,
        shimPid: process.pid,
        shimStartTicks: 1n,
        nonce: new Uint8Array([1]),
      };
      const adopted = await shim().adopt({ id: "recycled", bootId, launched });
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 137]);
    });

    it("kills with its first process what shares the host's processes", async () => {
      const namespaces = privateNamespaces.filter(({ type }) => type !== "pid");
      const { id, launched } = await launch(["sh", "-c", "sleep 1000 & wait"], {
        linux: { namespaces },
      });
      const pids = await eventually(async () => {
        const listed = (await shim().listPids({ id })).pids;
        return listed.length === 2 && listed;
      });
      process.kill(launched.pid, "SIGKILL");
      await events.first(id, "exited");
      await eventually(() => pids.every((pid) => !isAlive(pid)));
      await shim().delete({ id });
    });

    it("runs twenty at a time", async () => {
      const bundles = await Promise.all(
        Array.from({ length: 20 }, (_, code) => bundleOf(["sh", "-c", `exit ${String(code)}`])),
      );
      await Promise.all(bundles.map((bundle) => shim().launch(bundle.request)));
      const codes = await Promise.all(
        bundles.map(async ({ id }) => (await events.first(id, "exited")).exitCode),
      );
      assert.deepEqual(
        codes,
        Array.from({ length: 20 }, (_, code) => code),
      );
      await Promise.all(bundles.map(({ id }) => shim().delete({ id })));
    });

    it("blocks what the default seccomp profile closes", async () => {
      const { id, logFile } = await launch([
        "sh",
        "-c",
        "unshare -U true || echo refused; echo ready",
      ]);
      await ready(logFile);
      await events.first(id, "exited");
      assert.match(readFileSync(logFile, "utf8"), /refused/);
      await shim().delete({ id });
    });

    it("expects a process without moving anything, and one can be launched meanwhile", async () => {
      const before = readFileSync("/proc/self/cgroup", "utf8");
      const expected = Promise.all(Array.from({ length: 10 }, () => shim().expect({})));
      const { id, request } = await bundleOf(["true"]);
      await shim().launch(request);
      await expected;
      assert.equal((await events.first(id, "exited")).exitCode, 0);
      assert.equal(readFileSync("/proc/self/cgroup", "utf8"), before);
      await shim().delete({ id });
    });

    it("deletes what is not there without complaint, and refuses names that lead elsewhere", async () => {
      await shim().delete({ id: "nothing" });
      assert.equal((await rejection(shim().delete({ id: "../../etc" }))).kind, "invalid_argument");
    });
  });
}
