/** What both forms of ShimService must do, on real kernels with real shim processes. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { type EngineRoots, eventually } from "@gantry/testkit";
import { forever, isAlive, readStream, ready, rejection, ShimBed } from "./bed.ts";
import { privateNamespaces } from "./bundle.ts";
import type { ShimForm } from "./forms.ts";

export function shimSuite(name: string, openForm: (roots: EngineRoots) => Promise<ShimForm>): void {
  describe(name, () => {
    const bed = new ShimBed(openForm);

    it("runs a bundle and tells of its end exactly once, with code and log", async () => {
      const { id, logFile, launched, request } = await bed.launch([
        "sh",
        "-c",
        "echo hello; exit 3",
      ]);
      assert.ok(launched.pid > 0 && launched.shimPid > 0 && launched.pidStartTicks > 0n);
      assert.equal((await bed.events.first(id, "exited")).exitCode, 3);
      // The record was on disk before the event, in the place that was reserved for it.
      const record = readFileSync(request.exitRecordPath ?? "", "utf8");
      assert.equal(record.length, 512);
      assert.equal((JSON.parse(record) as { exitCode: number }).exitCode, 3);
      assert.match(readFileSync(logFile, "utf8"), /"log":"hello\\n"/);
      await eventually(() => !isAlive(launched.shimPid));
      assert.equal(bed.events.of(id, "exited").length, 1);
      await bed.shim().delete({ id });
      assert.deepEqual(bed.cgroupFolders(id), []);
      assert.ok(!existsSync(path.join(bed.roots.config.runRoot, "c", id)));
    });

    it("lets a client that attached before the start see everything", async () => {
      const bundle = await bed.bundleOf(["sh", "-c", "echo early"]);
      await bed.shim().prepare({ id: bundle.id });
      const { path: socket, ticket } = await bed.shim().issueTicket({
        id: bundle.id,
        options: { stdout: true, framed: true },
      });
      const stream = readStream(socket, ticket);
      await bed.shim().launch(bundle.request);
      assert.deepEqual([...(await stream)], [1, 0, 0, 0, 0, 0, 0, 6, ...Buffer.from("early\n")]);
      await bed.events.first(bundle.id, "exited");
      await bed.shim().delete({ id: bundle.id });
    });

    it("refuses a command that is not there with exit code 127 and Docker's words, and leaves nothing", async () => {
      const bundle = await bed.bundleOf(["no-such-command"]);
      const { path: socket, ticket } = await bed.shim().issueTicket({
        id: bundle.id,
        options: { stdout: true },
      });
      const stream = readStream(socket, ticket);
      const error = await rejection(bed.shim().launch(bundle.request));
      assert.equal(error.kind, "invalid_argument");
      assert.equal(error.details.exitCode, 127);
      assert.match(
        error.message,
        /^failed to create task for container: .*exec: "no-such-command": executable file not found in \$PATH.*: unknown$/,
      );
      assert.equal((await stream).length, 0);
      assert.deepEqual(bed.cgroupFolders(bundle.id), []);
      await bed.shim().delete({ id: bundle.id });
    });

    it("refuses a file that is not executable with exit code 126", async () => {
      const error = await rejection(
        bed.shim().launch((await bed.bundleOf(["/etc/passwd"])).request),
      );
      assert.deepEqual([error.kind, error.details.exitCode], ["invalid_argument", 126]);
      assert.match(error.message, /permission denied/);
    });

    it("refuses a bundle that is none", async () => {
      const bundle = await bed.bundleOf(["true"]);
      const error = await rejection(
        bed.shim().launch({ ...bundle.request, bundlePath: "/nonexistent" }),
      );
      assert.equal(error.kind, "invalid_argument");
    });

    it("can be launched after a failed launch", async () => {
      const broken = await bed.bundleOf(["no-such-command"]);
      await rejection(bed.shim().launch(broken.request));
      const whole = await bed.bundleOf(["true"]);
      await bed.shim().launch({ ...whole.request, id: broken.id });
      assert.equal((await bed.events.first(broken.id, "exited")).exitCode, 0);
      await bed.shim().delete({ id: broken.id });
    });

    it("refuses to launch what runs already", async () => {
      const bundle = await bed.launch(forever);
      assert.equal((await rejection(bed.shim().launch(bundle.request))).kind, "conflict");
      await bundle.remove();
    });

    it("can be launched again right after its end", async () => {
      const bundle = await bed.launch(["true"]);
      for (let round = 2; round <= 4; round += 1) {
        await eventually(() => bed.events.of(bundle.id, "exited").length === round - 1);
        await bed.shim().launch(bundle.request);
      }
      await eventually(() => bed.events.of(bundle.id, "exited").length === 4);
      await bed.shim().delete({ id: bundle.id });
    });

    it("signals the first process", async () => {
      const { id, logFile } = await bed.launch(forever);
      await ready(logFile);
      await bed.shim().signalProcess({ id, signal: 15 });
      assert.equal((await bed.events.first(id, "exited")).exitCode, 7);
      assert.equal(
        (await rejection(bed.shim().signalProcess({ id, signal: 15 }))).kind,
        "conflict",
      );
      await bed.shim().delete({ id });
    });

    it("refuses signals that are none", async () => {
      const { id, remove: end } = await bed.launch(forever);
      assert.equal(
        (await rejection(bed.shim().signalProcess({ id, signal: 0 }))).kind,
        "invalid_argument",
      );
      assert.equal(
        (await rejection(bed.shim().signalProcess({ id, signal: 65 }))).kind,
        "invalid_argument",
      );
      await end();
    });

    it("kills what runs, twice without harm", async () => {
      const { id } = await bed.launch(forever);
      assert.deepEqual((await bed.shim().kill({ id })).unkillablePids, []);
      assert.deepEqual((await bed.shim().kill({ id })).unkillablePids, []);
      const exited = await bed.events.first(id, "exited");
      assert.deepEqual([exited.exitCode, exited.signal], [137, 9]);
      await bed.shim().delete({ id });
    });

    it("freezes and thaws, and kills what is frozen", async () => {
      const bundle = await bed.launch(forever);
      await bed.shim().pause({ id: bundle.id });
      assert.equal((await bed.adopt(bundle, bundle.launched)).paused, true);
      await bed.shim().resume({ id: bundle.id });
      assert.equal((await bed.adopt(bundle, bundle.launched)).paused, false);
      await bed.shim().pause({ id: bundle.id });
      assert.deepEqual((await bed.shim().kill({ id: bundle.id })).unkillablePids, []);
      assert.equal((await bed.events.first(bundle.id, "exited")).exitCode, 137);
      await bed.shim().delete({ id: bundle.id });
    });

    it("sets limits at the start and changes them while it runs", async () => {
      const resources = {
        memory: { limit: 64 << 20, swap: 64 << 20 },
        pids: { limit: 50 },
        cpu: { shares: 512 },
      };
      const { id, remove: end } = await bed.launch(forever, { linux: { resources } });
      const before = await bed.shim().getStats({ id });
      assert.equal(before.memoryLimitBytes, BigInt(64 << 20));
      assert.equal(before.pidsLimit, 50n);
      const more = { memory: { limit: 128 << 20, swap: 256 << 20 }, pids: { limit: 60 } };
      await bed.shim().update({ id, resourcesJson: Buffer.from(JSON.stringify(more)) });
      const changed = await bed.shim().getStats({ id });
      assert.equal(changed.memoryLimitBytes, BigInt(128 << 20));
      assert.equal(changed.pidsLimit, 60n);
      const less = { memory: { limit: 32 << 20, swap: 32 << 20 } };
      await bed.shim().update({ id, resourcesJson: Buffer.from(JSON.stringify(less)) });
      assert.equal((await bed.shim().getStats({ id })).memoryLimitBytes, BigInt(32 << 20));
      await end();
    });

    it("reads counters of cgroup and system", async () => {
      const { id, remove: end } = await bed.launch(["sh", "-c", "while :; do :; done"]);
      const stats = await eventually(async () => {
        const read = await bed.shim().getStats({ id });
        return read.cpuTotalNs > 0n && read.memoryUsageBytes > 0n ? read : undefined;
      });
      assert.ok(stats.systemCpuNs > stats.cpuTotalNs);
      assert.ok(stats.onlineCpus > 0 && stats.pidsCurrent >= 1n);
      assert.ok(Object.keys(stats.memoryStats).length > 10);
      assert.deepEqual(stats.interfaces, []);
      await end();
    });

    it("lists the processes", async () => {
      const { id, launched, remove: end } = await bed.launch(["sh", "-c", "sleep 100 & wait"]);
      const pids = await eventually(async () => {
        const listed = (await bed.shim().listPids({ id })).pids;
        return listed.length === 2 && listed;
      });
      assert.ok(pids.includes(launched.pid));
      await end();
    });

    it("executes further processes at once, and tells of their end", async () => {
      const { id, remove: end } = await bed.launch(forever);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["sh", "-c", "exit 5"], env: ["PATH=/bin"] }),
      );
      const { pid } = await bed.shim().execProcess({ id, execId: "one", processJson });
      assert.ok(pid > 0);
      const exited = await bed.events.first(id, "execExited");
      assert.deepEqual([exited.execId, exited.exitCode], ["one", 5]);
      await end();
    });

    it("executes a process on the connection of its ticket", async () => {
      const { id, remove: end } = await bed.launch(forever);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/tmp", args: ["sh", "-c", "id -u; pwd"], env: ["PATH=/bin"] }),
      );
      const { ticket } = await bed.shim().execProcess({
        id,
        execId: "two",
        processJson,
        user: "user",
        startOnAttach: true,
        options: { stdout: true, stderr: true },
      });
      assert.ok(ticket !== undefined);
      assert.equal((await readStream(ticket.path, ticket.ticket)).toString(), "1000\n/tmp\n");
      assert.equal((await bed.events.first(id, "execExited")).exitCode, 0);
      await end();
    });

    it("refuses an exec of what is not there with exit code 127", async () => {
      const { id, remove: end } = await bed.launch(forever);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["nowhere"], env: ["PATH=/bin"] }),
      );
      const error = await rejection(bed.shim().execProcess({ id, execId: "three", processJson }));
      assert.deepEqual([error.kind, error.details.exitCode], ["invalid_argument", 127]);
      assert.match(
        error.message,
        /^OCI runtime exec failed: exec failed: .*executable file not found in \$PATH.*: unknown$/,
      );
      await end();
    });

    it("kills with its first process what shares the host's processes", async () => {
      const namespaces = privateNamespaces.filter(({ type }) => type !== "pid");
      const { id, launched } = await bed.launch(["sh", "-c", "sleep 1000 & wait"], {
        linux: { namespaces },
      });
      const pids = await eventually(async () => {
        const listed = (await bed.shim().listPids({ id })).pids;
        return listed.length === 2 && listed;
      });
      process.kill(launched.pid, "SIGKILL");
      await bed.events.first(id, "exited");
      await eventually(() => pids.every((pid) => !isAlive(pid)));
      await bed.shim().delete({ id });
    });

    it("runs twenty at a time", async () => {
      const bundles = await Promise.all(
        Array.from({ length: 20 }, (_, code) => bed.bundleOf(["sh", "-c", `exit ${String(code)}`])),
      );
      await Promise.all(bundles.map((bundle) => bed.shim().launch(bundle.request)));
      const codes = await Promise.all(
        bundles.map(async ({ id }) => (await bed.events.first(id, "exited")).exitCode),
      );
      assert.deepEqual(
        codes,
        Array.from({ length: 20 }, (_, code) => code),
      );
      await Promise.all(bundles.map(({ id }) => bed.shim().delete({ id })));
    });

    it("blocks what the default seccomp profile closes", async () => {
      const { id, logFile } = await bed.launch([
        "sh",
        "-c",
        "unshare -U true || echo refused; echo ready",
      ]);
      await ready(logFile);
      await bed.events.first(id, "exited");
      assert.match(readFileSync(logFile, "utf8"), /refused/);
      await bed.shim().delete({ id });
    });

    it("expects a process without moving anything, and one can be launched meanwhile", async () => {
      const before = readFileSync("/proc/self/cgroup", "utf8");
      const expected = Promise.all(Array.from({ length: 10 }, () => bed.shim().expect({})));
      const { id, request } = await bed.bundleOf(["true"]);
      await bed.shim().launch(request);
      await expected;
      assert.equal((await bed.events.first(id, "exited")).exitCode, 0);
      assert.equal(readFileSync("/proc/self/cgroup", "utf8"), before);
      await bed.shim().delete({ id });
    });

    it("deletes what is not there without complaint, and refuses names that lead elsewhere", async () => {
      await bed.shim().delete({ id: "nothing" });
      assert.equal(
        (await rejection(bed.shim().delete({ id: "../../etc" }))).kind,
        "invalid_argument",
      );
    });
  });
}
