/** What is left of containers, and told of them, when ShimService or a shim process dies. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { resolveKind } from "@gantry/errors";
import { LaunchResponseSchema } from "@gantry/proto/shim";
import { type EngineRoots, eventually } from "@gantry/testkit";
import { bootId, forever, isAlive, ready, rejection, ShimBed } from "./bed.ts";
import type { ShimForm } from "./forms.ts";

export function crashSuite(
  name: string,
  openForm: (roots: EngineRoots) => Promise<ShimForm>,
): void {
  describe(`${name}, after crashes`, () => {
    const bed = new ShimBed(openForm);

    it("notices within a second that a shim process was killed, and ends its container with 137", async () => {
      const { id, launched } = await bed.launch(["sh", "-c", "sleep 1000 & exec sleep 1000"]);
      process.kill(launched.shimPid, "SIGKILL");
      const from = performance.now();
      const exited = await bed.events.first(id, "exited");
      assert.ok(performance.now() - from < 1_000);
      assert.deepEqual([exited.exitCode, exited.signal], [137, 9]);
      await eventually(() => !isAlive(launched.pid));
      assert.deepEqual(bed.cgroupFolders(id), []);
      assert.equal(bed.events.of(id, "exited").length, 1);
      await bed.shim().delete({ id });
    });

    it("answers for others, and kills, while a shim process is frozen", async () => {
      const frozen = await bed.launch(forever);
      const other = await bed.launch(forever);
      process.kill(frozen.launched.shimPid, "SIGSTOP");
      await bed.shim().getStats({ id: frozen.id });
      await bed.shim().listPids({ id: frozen.id });
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["true"], env: ["PATH=/bin"] }),
      );
      await bed.shim().execProcess({ id: other.id, execId: "alive", processJson });
      await bed.shim().kill({ id: frozen.id });
      assert.equal((await bed.events.first(frozen.id, "exited")).exitCode, 137);
      await bed.shim().delete({ id: frozen.id });
      await other.remove();
    });

    it("says of what it was asking a process that died: not running", async () => {
      const { id, launched } = await bed.launch(forever);
      process.kill(launched.shimPid, "SIGSTOP");
      const asked = rejection(bed.shim().resizeProcess({ id, height: 24, width: 80 }));
      process.kill(launched.shimPid, "SIGKILL");
      const { kind, message } = await asked;
      assert.deepEqual([kind, message], ["conflict", `container ${id} is not running`]);
      await bed.events.first(id, "exited");
      await bed.shim().delete({ id });
    });

    it("says not running of a container that has ended, before its end is told", async () => {
      const { id, launched } = await bed.launch(["sleep", "1000"]);
      const notRunning = `container ${id} is not running`;
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["true"], env: ["PATH=/bin"] }),
      );
      const resourcesJson = Buffer.from(JSON.stringify({ memory: { limit: 64 << 20 } }));
      process.kill(launched.shimPid, "SIGSTOP");
      process.kill(launched.pid, "SIGKILL");
      await eventually(() => !isAlive(launched.pid));
      const refuses = async (): Promise<void> => {
        for (const call of [bed.shim().pause({ id }), bed.shim().listPids({ id })]) {
          const { kind, message } = await rejection(call);
          assert.deepEqual([kind, message], ["conflict", notRunning]);
        }
        const { kind } = await rejection(bed.shim().update({ id, resourcesJson }));
        assert.equal(kind, "not_found");
      };
      const folders = bed.cgroupFolders(id);
      assert.ok(folders.length > 0);
      const { kind: paused, message: said } = await rejection(bed.shim().pause({ id }));
      assert.deepEqual([paused, said], ["conflict", notRunning]);
      // As its process does at its end.
      for (const folder of folders) rmdirSync(folder);
      await refuses();
      const asked = [
        rejection(bed.shim().issueTicket({ id, running: true, options: { stdout: true } })),
        rejection(bed.shim().execProcess({ id, execId: "late", processJson })),
      ];
      process.kill(launched.shimPid, "SIGCONT");
      for (const { kind, message } of await Promise.all(asked)) {
        assert.deepEqual([kind, message], ["conflict", notRunning]);
      }
      await bed.events.first(id, "exited");
      const { kind, message } = await rejection(bed.shim().issueTicket({ id, running: true }));
      assert.deepEqual([kind, message], ["conflict", notRunning]);
      await bed.shim().delete({ id });
    });

    it("adopts a running container after a crash: it executes, tells of its end, and nothing was lost", async () => {
      const bundle = await bed.launch(forever);
      await ready(bundle.logFile);
      await bed.crash();
      const adopted = await bed.adopt(bundle, bundle.launched);
      assert.equal(adopted.running, true);
      assert.equal(adopted.launched?.pid, bundle.launched.pid);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["true"], env: ["PATH=/bin"] }),
      );
      await bed.shim().execProcess({ id: bundle.id, execId: "after", processJson });
      assert.equal((await bed.events.first(bundle.id, "execExited")).exitCode, 0);
      await bed.shim().signalProcess({ id: bundle.id, signal: 15 });
      assert.equal((await bed.events.first(bundle.id, "exited")).exitCode, 7);
      await bed.shim().delete({ id: bundle.id });
    });

    it("adopts what a crash in the middle of a launch left running, without its answer", async () => {
      const bundle = await bed.launch(forever);
      await bed.crash();
      const adopted = await bed.adopt(bundle);
      assert.equal(adopted.running, true);
      assert.equal(adopted.launched?.pid, bundle.launched.pid);
      await bundle.remove();
    });

    it("tells of a run whose shim process was killed before anybody heard of its start", async () => {
      const nonce = new Uint8Array(16).fill(7);
      const bundle = await bed.launch(forever, { launch: { nonce } });
      await bed.crash();
      process.kill(bundle.launched.shimPid, "SIGKILL");
      await eventually(() => !isAlive(bundle.launched.shimPid));
      const adopted = await bed.adopt(bundle, create(LaunchResponseSchema, { nonce }));
      assert.deepEqual(
        [adopted.running, adopted.exited?.exitCode, adopted.launched?.pid],
        [false, 137, bundle.launched.pid],
      );
      assert.ok((adopted.launched?.startedAtNano ?? 0n) > 0n);
      await bundle.remove();
    });

    it("does not take an earlier run for one that has not begun", async () => {
      const bundle = await bed.launch(["sh", "-c", "exit 4"]);
      await bed.events.first(bundle.id, "exited");
      await bed.crash();
      const nonce = new Uint8Array(16).fill(9);
      const adopted = await bed.adopt(bundle, create(LaunchResponseSchema, { nonce }));
      assert.deepEqual([adopted.running, adopted.launched], [false, undefined]);
      await bundle.remove();
    });

    it("leaves nothing of a start that failed in the record of its run", async () => {
      const bundle = await bed.bundleOf(["/nowhere"]);
      await rejection(bed.shim().launch(bundle.request));
      const record = readFileSync(bundle.request.exitRecordPath ?? "", "utf8");
      assert.equal(record, " ".repeat(512));
      await bed.remove(bundle.id);
    });

    it("leaves a launch to itself whose caller goes away", async () => {
      const bundle = await bed.bundleOf(forever);
      const caller = new AbortController();
      const started = bed.shim().launch(bundle.request, { signal: caller.signal });
      const runFile = path.join(bed.roots.config.runRoot, "c", bundle.id, "shim.json");
      await eventually(() => existsSync(runFile));
      caller.abort();
      // It may have been told in time.
      await started.catch((error: unknown) => {
        assert.equal(resolveKind(error), "canceled");
      });
      const adopted = await bed.shim().adopt({
        id: bundle.id,
        bootId,
        exitRecordPath: bundle.request.exitRecordPath ?? "",
        startTimeoutMs: 10_000,
      });
      assert.equal(adopted.running, true);
      assert.ok((adopted.launched?.pid ?? 0) > 0);
      await bed.remove(bundle.id);
    });

    it("finds out the true code of a container that ended while nobody looked", async () => {
      const bundle = await bed.launch(forever);
      await ready(bundle.logFile);
      await bed.crash();
      process.kill(bundle.launched.pid, "SIGTERM");
      await eventually(() => !isAlive(bundle.launched.shimPid));
      const adopted = await bed.adopt(bundle, bundle.launched);
      assert.equal(adopted.running, false);
      assert.equal(adopted.exited?.exitCode, 7);
      await bed.shim().delete({ id: bundle.id });
    });

    it("cleans up after a shim process that was killed while nobody looked", async () => {
      const bundle = await bed.launch(["sh", "-c", "sleep 1000 & exec sleep 1000"]);
      await bed.crash();
      process.kill(bundle.launched.shimPid, "SIGKILL");
      await eventually(() => !isAlive(bundle.launched.shimPid));
      const adopted = await bed.adopt(bundle, bundle.launched);
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 137]);
      assert.ok(!isAlive(bundle.launched.pid));
      assert.deepEqual(bed.cgroupFolders(bundle.id), []);
    });

    it("ends a container whose run folder was taken away, since nobody could stop it any more", async () => {
      const bundle = await bed.launch(["sh", "-c", "sleep 1000 & exec sleep 1000"]);
      await bed.crash();
      rmSync(path.join(bed.roots.config.runRoot, "c"), { recursive: true });
      const adopted = await bed.adopt(bundle, bundle.launched);
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 137]);
      assert.ok(!isAlive(bundle.launched.shimPid));
      assert.ok(!isAlive(bundle.launched.pid));
      assert.deepEqual(bed.cgroupFolders(bundle.id), []);
    });

    it("says running of a frozen shim process, and hears of it when it thaws", async () => {
      const bundle = await bed.launch(forever);
      await ready(bundle.logFile);
      await bed.crash();
      process.kill(bundle.launched.shimPid, "SIGSTOP");
      assert.equal((await bed.adopt(bundle, bundle.launched)).running, true);
      process.kill(bundle.launched.shimPid, "SIGCONT");
      process.kill(bundle.launched.pid, "SIGTERM");
      assert.equal((await bed.events.first(bundle.id, "exited")).exitCode, 7);
      await bed.shim().delete({ id: bundle.id });
    });

    it("waits for a shim process that was too busy to be adopted, when something is asked of it", async () => {
      const bundle = await bed.launch(forever);
      await bed.crash();
      process.kill(bundle.launched.shimPid, "SIGSTOP");
      assert.equal((await bed.adopt(bundle, bundle.launched)).running, true);
      const processJson = Buffer.from(
        JSON.stringify({ cwd: "/", args: ["true"], env: ["PATH=/bin"] }),
      );
      const asked = bed.shim().execProcess({ id: bundle.id, execId: "late", processJson });
      process.kill(bundle.launched.shimPid, "SIGCONT");
      assert.ok((await asked).pid > 0);
      await bundle.remove();
    });

    it("takes a container of another boot for lost", async () => {
      const launched = { pid: 1, shimPid: 1, shimStartTicks: 1n, nonce: new Uint8Array([1]) };
      const adopted = await bed.shim().adopt({ id: "lost", bootId: "another", launched });
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 255]);
    });

    it("does not take another process with the same number for its own", async () => {
      const launched = {
        pid: process.pid,
        shimPid: process.pid,
        shimStartTicks: 1n,
        nonce: new Uint8Array([1]),
      };
      const adopted = await bed.shim().adopt({ id: "recycled", bootId, launched });
      assert.deepEqual([adopted.running, adopted.exited?.exitCode], [false, 137]);
    });
  });
}
