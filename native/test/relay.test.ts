/** How the relay is told, started, replaced and ended. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit";

import {
  builds,
  Control,
  closed,
  container,
  native,
  publish,
  readAll,
  startRelay,
} from "./relay-program.ts";

for (const build of builds) {
  describe(`relay (${build})`, () => {
    it("says EADDRINUSE when a program of the host has the port, and holds it against others otherwise", async (t) => {
      const relay = await startRelay(t, build);
      const mine = createServer().listen(0, "127.0.0.1");
      await once(mine, "listening");
      t.after(() => mine.close());
      const { port } = mine.address() as AddressInfo;
      const request = {
        op: "add",
        id: "a",
        proto: "tcp",
        hostIp: "127.0.0.1",
        hostPort: port,
        containerIp: "127.0.0.2",
        containerPort: 80,
      };
      for (const hostIp of ["127.0.0.1", "0.0.0.0"]) {
        const answer = await relay.control.ask({ ...request, hostIp });
        assert.deepEqual([answer["id"], answer["ok"], answer["errno"]], ["a", false, "EADDRINUSE"]);
      }
      const foreign = await relay.control.ask({ ...request, hostIp: "203.0.113.7" });
      assert.equal(foreign["errno"], "EADDRNOTAVAIL");
      const held = await publish(relay, { address: "127.0.0.2", port: 80 });
      const other = createServer().listen(held, "127.0.0.1");
      const [error] = (await once(other, "error")) as [NodeJS.ErrnoException];
      assert.equal(error.code, "EADDRINUSE");
      const udp = createSocket("udp4");
      udp.bind(0, "127.0.0.1");
      await once(udp, "listening");
      const taken = await relay.control.ask({
        ...request,
        proto: "udp",
        hostPort: udp.address().port,
      });
      assert.equal(taken["errno"], "EADDRINUSE");
      udp.close();
    });

    it("frees the port and cuts its connections on del, and takes it again in the same breath", async (t) => {
      const relay = await startRelay(t, build);
      const target = await container(t, (socket) => void socket.write("hello"));
      const port = await publish(relay, target);
      const client = connect(port, "127.0.0.1");
      await once(client, "data");
      const cut = once(client, "error");
      const id = `tcp-${port}`;
      const again = {
        op: "add",
        id: "again",
        proto: "tcp",
        hostIp: "127.0.0.1",
        hostPort: port,
        containerIp: target.address,
        containerPort: target.port,
      };
      const answers = await Promise.all([
        relay.control.ask({ op: "del", id }),
        relay.control.ask(again),
        relay.control.ask({ op: "del", id }),
      ]);
      assert.deepEqual(
        answers.map((answer) => [answer["ok"], answer["found"]]),
        [
          [true, true],
          [true, undefined],
          [true, false],
        ],
      );
      await cut;
      const next = connect(port, "127.0.0.1");
      assert.equal(String((await once(next, "data"))[0]), "hello");
      next.destroy();
    });

    it("holds a thousand ports in one small process that sleeps while nothing comes", async (t) => {
      const relay = await startRelay(t, build);
      const requests = Array.from({ length: 1000 }, (_, i) => ({
        op: "add",
        id: `p${String(i)}`,
        proto: i % 2 === 0 ? "tcp" : "udp",
        hostIp: `127.9.${String(i >> 8)}.${String(i & 255)}`,
        hostPort: 5000,
        containerIp: "127.0.0.2",
        containerPort: 80,
      }));
      const answers = await Promise.all(requests.map((request) => relay.control.ask(request)));
      assert.ok(answers.every((answer) => answer["ok"] === true));
      const status = () => readFileSync(`/proc/${String(relay.child.pid)}/status`, "utf8");
      const rss = Number(/VmRSS:\s+(\d+)/.exec(status())?.[1]);
      if (build === "build") assert.ok(rss < 4_000, `${String(rss)} kB`);
      // Let the tick that follows the requests pass, then count how often it wakes up.
      const switches = () => Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status())?.[1]);
      let before = -1;
      // At rest: it did nothing at all between two looks.
      await eventually(
        () => {
          const last = before;
          before = switches();
          return last === before;
        },
        { intervalMs: 1500 },
      );
    });

    it("keeps its ports when the control client goes, and lists them to the next", async (t) => {
      const relay = await startRelay(t, build);
      const target = await container(t, (socket) => void socket.end("still here"));
      const port = await publish(relay, target);
      relay.control.socket.destroy();
      const next = new Control(relay.socketPath);
      t.after(() => next.socket.destroy());
      assert.deepEqual(await next.ask({ op: "list" }), {
        op: "list",
        ok: true,
        ports: [
          {
            id: `tcp-${port}`,
            proto: "tcp",
            hostIp: "127.0.0.1",
            hostPort: port,
            containerIp: target.address,
            containerPort: target.port,
            active: 0,
          },
        ],
      });
      assert.equal((await readAll(connect(port, "127.0.0.1"))).toString(), "still here");
      const ping = await next.ask({ op: "ping" });
      assert.deepEqual(
        [ping["ok"], ping["version"], ping["pid"], ping["ports"]],
        [true, 1, relay.child.pid, 1],
      );
    });

    it("answers bad requests and goes on", async (t) => {
      const relay = await startRelay(t, build);
      const good = {
        op: "add",
        id: "x",
        proto: "tcp",
        hostIp: "127.0.0.1",
        hostPort: 1,
        containerIp: "127.0.0.1",
        containerPort: 1,
      };
      const bad: unknown[] = [
        "",
        "{",
        "[]",
        '{"op":{}}',
        '{"op":"add"',
        '{"op":"ping"} trailing',
        '{"op":"ping","op":"ping"}',
        '{"op":"\u0001"}',
        '{"op":"\\ud800"}',
        { op: "dance" },
        { op: "add" },
        { ...good, proto: "sctp" },
        { ...good, hostPort: 0 },
        { ...good, hostPort: 65536 },
        { ...good, hostPort: "80" },
        { ...good, hostPort: -1 },
        { ...good, hostPort: 1.5 },
        { ...good, hostIp: "localhost" },
        { ...good, containerIp: "" },
      ];
      for (const request of bad) {
        const answer = await relay.control.ask(request);
        assert.equal(answer["ok"], false, JSON.stringify(request));
      }
      assert.equal((await relay.control.ask({ op: "ping" }))["ports"], 0);
      // A line without end is cut off.
      const noisy = connect(relay.socketPath);
      const end = closed(noisy);
      noisy.write(Buffer.alloc(300_000, "x"));
      noisy.resume();
      await end;
      assert.equal((await relay.control.ask({ op: "ping" }))["ok"], true);
    });

    it("serves a path alone, takes over a dead one's, and ends on request", async (t) => {
      const relay = await startRelay(t, build);
      const second = spawn(path.join(native, build, "relay"), ["--socket", relay.socketPath], {
        stdio: "ignore",
      });
      assert.equal((await once(second, "exit"))[0], 4);
      assert.equal((await relay.control.ask({ op: "ping" }))["ok"], true);
      assert.equal(statSync(relay.socketPath).mode & 0o777, 0o600);
      const ended = once(relay.child, "exit");
      assert.deepEqual(await relay.control.ask({ op: "shutdown" }), { op: "shutdown", ok: true });
      assert.equal((await ended)[0], 0);
      writeFileSync(`${relay.socketPath}.note`, "");
      const third = spawn(path.join(native, build, "relay"), ["--socket", relay.socketPath], {
        stdio: "ignore",
      });
      const thirdEnded = once(third, "exit");
      let control: Control | undefined;
      await eventually(() => {
        if (!control || control.socket.destroyed) control = new Control(relay.socketPath);
        return control.socket.readyState === "open";
      });
      assert.equal((await control?.ask({ op: "ping" }))?.["pid"], third.pid);
      control?.socket.destroy();
      third.kill("SIGTERM");
      assert.equal((await thirdEnded)[0], 0);
    });

    it("ends on SIGTERM whenever it comes", async (t) => {
      const directory = mkdtempSync(path.join(tmpdir(), "gantry-relay-"));
      t.after(() => rmSync(directory, { recursive: true }));
      for (let i = 0; i < 20; i++) {
        const socketPath = path.join(directory, String(i));
        const child = spawn(path.join(native, build, "relay"), ["--socket", socketPath], {
          stdio: "ignore",
        });
        const ended = once(child, "exit");
        await eventually(() => existsSync(socketPath), { intervalMs: 1 });
        child.kill("SIGTERM");
        const [code, signal] = (await ended) as [number | null, string | null];
        // Before it has set itself up, the signal ends it as any program.
        assert.ok(code === 0 || signal === "SIGTERM");
      }
    });

    it("gives up every privilege but binding low ports", {
      skip: process.getuid?.() !== 0 && "needs root",
    }, async (t) => {
      const relay = await startRelay(t, build);
      await relay.control.ask({ op: "ping" });
      const status = readFileSync(`/proc/${relay.child.pid}/status`, "utf8");
      const field = (name: string) => new RegExp(`${name}:\\s+(\\S+)`).exec(status)?.[1];
      assert.deepEqual(
        [field("CapEff"), field("CapBnd"), field("NoNewPrivs")],
        ["0000000000000400", "0000000000000400", "1"],
      );
      if (build === "build") assert.equal(field("Seccomp"), "2");
      const low = await relay.control.ask({
        op: "add",
        id: "low",
        proto: "tcp",
        hostIp: "127.0.0.44",
        hostPort: 81,
        containerIp: "127.0.0.2",
        containerPort: 80,
      });
      assert.equal(low["ok"], true);
    });
  });
}
