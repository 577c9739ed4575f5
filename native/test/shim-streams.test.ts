import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { holds, Playground, type Shim } from "./shim-driver.ts";
import { type PlanInit, processOf } from "./shim-plan.ts";

const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });
const ticket = new Uint8Array(32).fill(9);
const allStreams = { ticket, stdin: true, stdout: true, stderr: true, framed: true };

describe("the log", () => {
  it("has Docker's bytes", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh(
        `printf 'a<b>&"\\\\\\t\\001\\r\\n'; printf 'h\\303\\251 \\377\\342\\200\\250\\n' >&2; printf end`,
      ),
      log: { driver: "json-file", path: playground.path("json.log"), attrsJson: '{"k":"v"}' },
    });
    await shim.message("exited");
    const lines = readFileSync(playground.path("json.log"), "utf8")
      .replaceAll(/"time":"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"/g, "T")
      .split("\n")
      .sort();
    assert.deepEqual(lines, [
      "",
      String.raw`{"log":"a\u003cb\u003e\u0026\"\\\u0009\u0001\r\n","stream":"stdout","attrs":{"k":"v"},T}`,
      `{"log":"end","stream":"stdout","attrs":{"k":"v"},T}`,
      `{"log":"hé \\ufffd\\u2028\\n","stream":"stderr","attrs":{"k":"v"},T}`,
    ]);
  });

  it("cuts lines at 16 KiB", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("head -c 40000 /dev/zero | tr '\\0' x; echo; echo next"));
    await shim.message("exited");
    const records = playground.log();
    assert.deepEqual(
      records.map((record) => record.log.length),
      [16384, 16384, 7233, 5],
    );
    assert.equal(records.map((record) => record.log).join(""), `${"x".repeat(40000)}\nnext\n`);
    assert.equal(new Set(records.slice(0, 3).map((record) => record.time)).size, 1);
  });

  it("has no newline where output ends without one", async () => {
    for (const [length, pieces] of [
      [3, [3]],
      [16384, [16384]],
      [20000, [16384, 3616]],
    ] as const) {
      await using playground = await Playground.make();
      const shim = playground.launch(sh(`head -c ${length} /dev/zero | tr '\\0' x`));
      await shim.message("exited");
      const records = playground.log();
      assert.deepEqual(
        records.map((record) => record.log),
        pieces.map((piece) => "x".repeat(piece)),
      );
      assert.equal(new Set(records.map((record) => record.time)).size, 1);
    }
  });

  it("loses no line, whatever the speed", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("seq 1 200000"));
    await shim.message("exited");
    assert.deepEqual(
      playground.log().map((record) => record.log),
      Array.from({ length: 200000 }, (_, i) => `${i + 1}\n`),
    );
  });

  it("is rotated, and the old files compressed", async () => {
    await using playground = await Playground.make();
    const path = playground.path("json.log");
    const shim = playground.launch({
      ...sh("for i in 1 2 3 4 5 6 7 8; do seq 1 2000; usleep 1000; done; sleep 0.2; seq 1 200"),
      log: { driver: "json-file", path, maxSizeBytes: 200_000n, maxFiles: 3, compress: true },
    });
    await shim.message("exited");
    await holds(() => existsSync(`${path}.1.gz`));
    assert.ok(!existsSync(`${path}.3`) && !existsSync(`${path}.3.gz`));
    const lines = gunzipSync(readFileSync(`${path}.1.gz`))
      .toString()
      .trim()
      .split("\n");
    assert.ok(lines.every((line) => JSON.parse(line).stream === "stdout"));
  });

  it("is rotated without gaps when not compressed", async () => {
    await using playground = await Playground.make();
    const path = playground.path("json.log");
    const shim = playground.launch({
      ...sh("seq 1 5000"),
      log: { driver: "json-file", path, maxSizeBytes: 100_000n, maxFiles: 20 },
    });
    await shim.message("exited");
    const numbers: string[] = [];
    for (let index = 19; index >= 0; index--) {
      const file = index === 0 ? path : `${path}.${index}`;
      if (!existsSync(file)) continue;
      const text = readFileSync(file, "utf8");
      assert.ok(text.length <= 100_000);
      numbers.push(
        ...text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line).log),
      );
    }
    assert.equal(numbers.join(""), Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`).join(""));
  });

  it("is opened again when asked", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("echo one; read x; echo two"),
      stdio: { openStdin: true },
    });
    await shim.message("started");
    await holds(() => playground.log().length === 1);
    renameSync(playground.path("json.log"), playground.path("moved"));
    assert.equal((await shim.request({ case: "reopenLog", value: {} })).case, "ack");
    const stream = await shim.attach();
    stream.socket.write("\n");
    await shim.message("exited");
    assert.equal(playground.log()[0]?.log, "two\n");
  });

  it("is not written by driver none", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("echo one"),
      log: { driver: "none", path: playground.path("json.log") },
    });
    await shim.message("exited");
    assert.ok(!existsSync(playground.path("json.log")));
  });
});

describe("the log on a full disk", () => {
  it("stays whole, and the container runs on", async () => {
    await using playground = await Playground.make();
    mkdirSync(playground.path("small"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", playground.path("small")]);
    try {
      const path = playground.path("small/json.log");
      const shim = playground.launch({
        ...sh("seq 1 20000; exit 6"),
        log: { driver: "json-file", path },
      });
      assert.equal((await shim.message("exited")).exitCode, 6);
      const text = readFileSync(path, "utf8");
      assert.ok(text.length > 30_000 && text.endsWith("}\n"));
      const numbers = text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).log as string);
      assert.equal(numbers[0], "1\n");
    } finally {
      // The shim process may have the log open until it is gone.
      execFileSync("umount", ["--lazy", playground.path("small")]);
    }
  });
});

describe("an attached client", () => {
  it("gets all output in frames, when it came before the start, and then the end", async () => {
    await using playground = await Playground.make();
    const { shim, stream } = await playground.launchAttached(
      { ...sh("echo out; echo err >&2"), tickets: [allStreams] },
      ticket,
    );
    await stream.closed;
    assert.deepEqual(stream.frames(), { stdout: "out\n", stderr: "err\n" });
    assert.equal((await shim.message("exited")).exitCode, 0);
  });

  it("feeds standard input, whose end passes on with StdinOnce", async () => {
    await using playground = await Playground.make();
    const { stream } = await playground.launchAttached(
      {
        ...sh("cat; echo done"),
        stdio: { openStdin: true, stdinOnce: true },
        tickets: [allStreams],
      },
      ticket,
    );
    const input = "x".repeat(3_000_000);
    stream.socket.end(input);
    await stream.closed;
    assert.equal(stream.frames().stdout, `${input}done\n`);
  });

  it("ends only its own session without StdinOnce", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("read a; echo got $a; read b; echo got $b"),
      stdio: { openStdin: true },
      tickets: [allStreams],
    });
    await shim.message("started");
    const first = shim.stream(ticket);
    first.socket.write("one\n");
    await first.until("got one");
    first.socket.end();
    await first.closed;
    await shim.message("detached");
    const second = await shim.attach();
    second.socket.write("two\n");
    await second.closed;
    assert.equal(second.frames().stdout, "got two\n");
  });

  it("holds nothing back when it does not read, and is let go when it vanishes", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("yes | head -c 60000000; echo; echo over >&2; sleep 100"),
      log: { driver: "none" },
      tickets: [allStreams, { ...allStreams, ticket: new Uint8Array(32).fill(8), stdout: false }],
    });
    const atStart = residentKib(shim.pid);
    const stuck = shim.stream(ticket);
    stuck.socket.pause();
    const other = shim.stream(new Uint8Array(32).fill(8));
    await shim.message("started");
    // The process waits for the stuck reader: nothing is buffered without bound.
    await holds(() => residentKib(shim.pid) > atStart + 500);
    assert.ok(residentKib(shim.pid) < atStart + 50_000);
    stuck.socket.destroy();
    await other.until("over");
  });

  it("is let go at once although there is no output", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("sleep 100"));
    await shim.message("started");
    for (let i = 0; i < 20; i++) {
      const stream = await shim.attach({ stdin: i % 2 === 0 });
      stream.socket.destroy();
      await holds(
        () => shim.messages.filter(({ message }) => message.case === "detached").length === i + 1,
      );
    }
  });

  it("without a good ticket is turned away, and a ticket is good once", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ ...sh("sleep 100"), tickets: [allStreams] });
    await shim.message("started");
    await shim.stream(new Uint8Array(32).fill(1)).closed;
    shim.stream(ticket);
    await shim.message("attached");
    await shim.stream(ticket).closed;
  });

  it("keeps its ticket only for its time", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("sleep 100"));
    await shim.message("started");
    await shim.request({ case: "addTicket", value: { ...allStreams, ttlMs: 1 } });
    const started = Date.now();
    while (Date.now() < started + 5) await shim.request({ case: "state", value: {} });
    await shim.stream(ticket).closed;
  });

  it("reads the rest after the exit was reported", async () => {
    await using playground = await Playground.make();
    const { stream } = await playground.launchAttached(
      { ...sh("head -c 1000000 /dev/zero"), tickets: [allStreams] },
      ticket,
    );
    await stream.closed;
    assert.equal(stream.frames().stdout.length, 1_000_000);
  });
});

function residentKib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

describe("a terminal", () => {
  const terminal = (script: string, changes: PlanInit = {}): PlanInit => ({
    process: processOf(["sh", "-c", script], {
      terminal: true,
      consoleHeight: 33,
      consoleWidth: 111,
    }),
    stdio: { openStdin: true },
    tickets: [{ ticket, stdin: true, stdout: true, detachKeys: new Uint8Array([16, 17]) }],
    ...changes,
  });

  it("has its size, its name and its session", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(
      terminal(
        "stty size; tty; ls -l /dev/console | cut -c1; ps | tail -n +2 | head -1; echo $(( $(cut -d' ' -f7 /proc/self/stat) != 0 ))",
      ),
    );
    await shim.message("exited");
    const lines = playground.log().map((record) => record.log);
    assert.equal(lines[0], "33 111\r\n");
    assert.equal(lines[1], "/dev/pts/0\r\n");
    assert.equal(lines[2], "c\r\n");
    assert.equal(lines.at(-1), "1\r\n");
  });

  it("is resized, interrupted and ended by its keys", async () => {
    await using playground = await Playground.make();
    const { shim, stream } = await playground.launchAttached(
      terminal(
        "trap 'echo winch' WINCH; trap 'echo int' INT; echo ready; while [ x$x != xq ]; do read x; stty size; done; cat; echo bye",
      ),
      ticket,
    );
    await stream.until("ready");
    assert.equal(
      (await shim.request({ case: "resize", value: { height: 10, width: 20 } })).case,
      "ack",
    );
    // The shell hears of a signal that comes just before its `read` when that returns: hence a line with each.
    stream.socket.write("\n");
    await stream.until("winch");
    await stream.until("10 20");
    stream.socket.write("\u0003\n");
    await stream.until("int");
    stream.socket.write("q\n\u0004");
    await stream.closed;
    assert.ok(stream.bytes().toString().endsWith("bye\r\n"));
    assert.equal((await shim.message("exited")).exitCode, 0);
  });

  it("lets go of a client who types the detach keys, and swallows them", async () => {
    await using playground = await Playground.make();
    const { shim, stream } = await playground.launchAttached(
      terminal("stty -echo raw; echo ready; head -c 4 | od -An -tx1"),
      ticket,
    );
    await stream.until("ready");
    stream.socket.write("\u0010a\u0010\u0010");
    stream.socket.write("\u0011zzz");
    await stream.closed;
    assert.equal((await shim.message("detached")).byKeys, true);
    const again = await shim.attach({ framed: false });
    again.socket.write("b");
    await again.closed;
    assert.equal(again.bytes().toString().trim(), "10 61 10 62");
  });

  it("outlives a moment in which nobody has it open", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(
      terminal(
        "(exec 0</dev/null 1>/dev/null 2>/dev/null; sleep 0.2; echo back >/dev/console) & exec 0</dev/null 1>/dev/null 2>/dev/null; wait",
      ),
    );
    await shim.message("exited");
    assert.equal(playground.log()[0]?.log, "back\r\n");
  });
});

describe("a connection of the control socket", () => {
  it("says who it is, also to a brain that comes back", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("sleep 100"));
    const { pid, pidStartTicks } = await shim.message("started");
    await shim.reconnect();
    const refused = await shim.request({ case: "state", value: {} });
    assert.ok(refused.case === "error" && refused.value.code === "invalid");
    const wrong = await shim.request({ case: "hello", value: { protocolVersion: 9 } });
    assert.ok(wrong.case === "error" && wrong.value.code === "version");
    const hello = await shim.request({ case: "hello", value: { protocolVersion: 1 } });
    assert.ok(hello.case === "hello");
    assert.deepEqual(
      [hello.value.pid, hello.value.pidStartTicks, [...hello.value.nonce]],
      [pid, pidStartTicks, [1, 2, 3]],
    );
    await shim.request({ case: "signal", value: { signal: 9 } });
    assert.equal((await shim.message("exited")).exitCode, 137);
  });

  it("that is gone before it is answered takes no end of an exec along", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("sleep 100"));
    await shim.message("started");
    const exec = {
      execId: "e",
      process: processOf(["sh", "-c", "read _; exit 3"]),
      openStdin: true,
    };
    const value = { ...exec, startOnAttach: true, ticket: allStreams };
    await shim.request({ case: "exec", value });
    const stream = shim.stream(ticket);
    await shim.message("execStarted");
    shim.dropControl();
    stream.socket.end("\n");
    await stream.closed;
    process.kill(shim.pid, "SIGSTOP");
    await shim.reconnect();
    await shim.leaveAfter({ case: "hello", value: { protocolVersion: 1 } });
    process.kill(shim.pid, "SIGCONT");
    await shim.reconnect();
    await shim.request({ case: "hello", value: { protocolVersion: 1 } });
    assert.equal((await shim.message("execExited")).exitCode, 3);
  });

  it("is cut off when it sends nonsense, and nobody else is", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("sleep 100"));
    await shim.message("started");
    shim.sendRaw(new Uint8Array([255, 255, 255, 255, 1]));
    await shim.reconnect();
    assert.equal(
      (await shim.request({ case: "hello", value: { protocolVersion: 1 } })).case,
      "hello",
    );
    shim.sendRaw(new Uint8Array([3, 0, 0, 0, 0xff, 0xff, 0xff]));
    await shim.reconnect();
    assert.equal(
      (await shim.request({ case: "hello", value: { protocolVersion: 1 } })).case,
      "hello",
    );
  });

  it("passes signals on and refuses what makes no sense", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(
      sh("trap 'echo usr; exit 4' USR1; echo ready; while true; do sleep 0.05; done"),
    );
    await shim.message("started");
    await holds(() => playground.log()[0]?.log === "ready\n");
    const errors: [Parameters<Shim["request"]>[0], string][] = [
      [{ case: "signal", value: { signal: 999 } }, "invalid"],
      [{ case: "signal", value: { signal: 15, execId: "none" } }, "not_found"],
      [{ case: "resize", value: { height: 1, width: 1 } }, "invalid"],
      [{ case: "resize", value: { execId: "none" } }, "not_found"],
      [{ case: "closeStdin", value: { execId: "none" } }, "not_found"],
      [{ case: "addTicket", value: { ticket: new Uint8Array(5) } }, "invalid"],
    ];
    for (const [request, code] of errors) {
      const answer = await shim.request(request);
      assert.ok(answer.case === "error", `${request.case} is refused`);
      assert.equal(answer.value.code, code);
      if (request.case === "addTicket")
        await shim
          .reconnect()
          .then(() => shim.request({ case: "hello", value: { protocolVersion: 1 } }));
    }
    await shim.request({ case: "signal", value: { signal: 10 } });
    assert.equal((await shim.message("exited")).exitCode, 4);
  });
});
