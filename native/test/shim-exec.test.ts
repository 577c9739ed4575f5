import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { describe, it } from "node:test";
import { holds, Playground, type Shim } from "./shim-driver.ts";
import { type PlanInit, processOf } from "./shim-plan.ts";

const sleeper: PlanInit = { process: processOf(["sleep", "1000"], {}) };

async function running(playground: Playground, changes: PlanInit = sleeper): Promise<Shim> {
  const shim = playground.launch(changes);
  await shim.message("started");
  return shim;
}

describe("an exec", () => {
  it("runs in the container's namespaces with its own exit code", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const { pid } = await shim.message("started");
    const { code, output } = await shim.exec([
      "sh",
      "-c",
      "hostname; for n in mnt pid net; do readlink /proc/self/ns/$n; done; echo err >&2; exit 5",
    ]);
    assert.equal(code, 5);
    const links = ["mnt", "pid", "net"].map((name) => readlinkSync(`/proc/${pid}/ns/${name}`));
    assert.equal(output, `box\n${links.join("\n")}\nerr\n`);
  });

  it("has its own user, environment, directory and capabilities", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const { output } = await shim.exec(
      ["sh", "-c", "id -u; id -g; pwd; echo $HOME $X; grep CapEff /proc/self/status"],
      { user: "user", cwd: "/tmp", env: ["PATH=/bin", "X=y"] },
    );
    assert.equal(output, "1000\n1000\n/tmp\n/home/user y\nCapEff:\t0000000000000000\n");
  });

  it("has nothing open but its streams, and an executable nobody can write", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    assert.equal((await shim.exec(["sh", "-c", "ls /proc/$$/fd; exit 0"])).output, "0\n1\n2\n");
    const { output } = await shim.exec([
      "sh",
      "-c",
      "for p in /proc/[0-9]*; do (echo x >>$p/exe) 2>&1; done | grep -vc -e 'Text file busy' -e 'Permission denied' -e denied -e nonexistent -e 'No such'",
    ]);
    assert.equal(output.trim(), "0");
  });

  it("takes input to its end", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const input = "line\n".repeat(100_000);
    const { output } = await shim.exec(["wc", "-c"], {}, input);
    assert.equal(output.trim(), String(input.length));
  });

  it("takes the size that came before its terminal", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const ticket = shim.newTicket();
    await shim.request({
      case: "exec",
      value: {
        execId: "one",
        process: processOf(["stty", "size"], { terminal: true }),
        startOnAttach: true,
        ticket: { ticket, stdout: true },
      },
    });
    assert.equal(
      (await shim.request({ case: "resize", value: { execId: "one", height: 7, width: 77 } })).case,
      "ack",
    );
    const stream = shim.stream(ticket);
    await stream.closed;
    assert.equal(stream.bytes().toString(), "7 77\r\n");
  });

  it("drops input that nobody reads", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    assert.equal(
      (
        await shim.exec(
          ["sh", "-c", "exec 0</dev/null; sleep 0.2; echo done"],
          {},
          "x".repeat(1_000_000),
        )
      ).output,
      "done\n",
    );
    const ticket = shim.newTicket();
    await shim.request({
      case: "exec",
      value: {
        execId: "deaf",
        process: processOf(["sh", "-c", "cat; sleep 0.2; echo done"]),
        startOnAttach: true,
        ticket: { ticket, stdin: true, stdout: true },
      },
    });
    const stream = shim.stream(ticket);
    stream.socket.write("x".repeat(5_000_000));
    await stream.closed;
    assert.equal(stream.bytes().toString(), "done\n");
  });

  it("may have a terminal", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const { output } = await shim.exec(["sh", "-c", "stty size; tty"], {
      terminal: true,
      consoleHeight: 5,
      consoleWidth: 50,
    });
    assert.equal(output, "5 50\r\n/dev/pts/0\r\n");
  });

  for (const [args, code, text] of [
    [["nope"], 127, 'exec: "nope": executable file not found in $PATH'],
    [["/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'],
  ] as const) {
    it(`that cannot start says so where its output would be: ${args.join(" ")}`, async () => {
      await using playground = await Playground.make();
      const shim = await running(playground);
      const result = await shim.exec([...args]);
      assert.equal(result.code, code);
      assert.equal(result.message, text);
      assert.equal(
        result.output,
        `OCI runtime exec failed: exec failed: unable to start container process: ${text}: unknown\r\n`,
      );
    });
  }

  it("is refused with an error when it is to start at once and cannot", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    for (const [process, code, text] of [
      [processOf(["nope"]), 127, 'exec: "nope": executable file not found in $PATH'],
      [
        processOf(["pwd"], { cwd: "/nope" }),
        127,
        'chdir to cwd ("/nope") set in config.json failed: no such file or directory',
      ],
      [
        processOf(["pwd"], { user: "ghost" }),
        126,
        "unable to find user ghost: no matching entries in passwd file",
      ],
    ] as const) {
      const answer = await shim.request({ case: "exec", value: { execId: "one", process } });
      assert.ok(answer.case === "error");
      assert.deepEqual([answer.value.exitCode, answer.value.message], [code, text]);
    }
    const hello = await shim.request({ case: "state", value: {} });
    assert.ok(hello.case === "hello" && hello.value.execs.length === 0);
  });

  it("ends with 255 when the kernel does not take its program", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const process = processOf(["echo", "x".repeat(200_000)]);
    const answer = await shim.request({ case: "exec", value: { execId: "one", process } });
    assert.equal(answer.case, "execStarted");
    assert.equal((await shim.message("execExited")).exitCode, 255);
  });

  it("is started at once, listed, signalled and reported", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const answer = await shim.request({
      case: "exec",
      value: { execId: "one", process: processOf(["sleep", "100"]) },
    });
    assert.ok(answer.case === "execStarted");
    const state = await shim.request({ case: "state", value: {} });
    assert.ok(state.case === "hello");
    assert.deepEqual(
      state.value.execs.map(({ execId, pid }) => [execId, pid]),
      [["one", answer.value.pid]],
    );
    await shim.request({ case: "signal", value: { execId: "one", signal: 9 } });
    const ended = await shim.message("execExited");
    assert.deepEqual([ended.execId, ended.exitCode, ended.signal], ["one", 137, 9]);
  });

  it("ends with its process, not with who else holds its output", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const started = Date.now();
    const { code, output } = await shim.exec(["sh", "-c", "sleep 100 & echo left"]);
    assert.deepEqual([code, output], [0, "left\n"]);
    assert.ok(Date.now() - started < 5000);
  });

  it("leaves nothing open in the shim after a hundred of them", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const before = readdirSync(`/proc/${shim.pid}/fd`).length;
    for (let i = 0; i < 100; i++) {
      const result = await shim.exec(i % 3 === 0 ? ["nope"] : ["sh", "-c", "sleep 30 & exit 1"], {
        terminal: i % 2 === 0,
      });
      assert.ok(result.code === 127 || result.code === 1);
    }
    await holds(() => readdirSync(`/proc/${shim.pid}/fd`).length === before);
  });

  it("does not keep the container alive", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    await shim.request({
      case: "exec",
      value: { execId: "one", process: processOf(["sleep", "100"]) },
    });
    await shim.request({ case: "signal", value: { signal: 9 } });
    assert.equal((await shim.message("exited")).exitCode, 137);
    assert.equal((await shim.message("execExited")).exitCode, 137);
    await shim.exitOfProcess();
  });

  it("cannot be looked into from the container", async () => {
    await using playground = await Playground.make();
    const shim = await running(playground);
    const { output } = await shim.exec(["sh", "-c", "ls -l /proc/1/exe >/dev/null && echo seen"]);
    assert.equal(output, "seen\n");
    assert.match(readFileSync(`/proc/${shim.pid}/status`, "utf8"), /Name:\tgantry-shim|Name:/);
  });
});
