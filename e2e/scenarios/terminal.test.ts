/** The stock CLI on a real terminal. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { Terminal } from "../src/terminal.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const shell = (...args: string[]): Terminal =>
  new Terminal(["docker", ...args], engine.clientEnv());
// busybox asks the terminal where its cursor is, after the prompt, and clears what is behind it when the size has come.
const prompt = /[#$] (?:\x1b\[(?:6n|J))*$/;

describe("docker run -it busybox sh", () => {
  it("is a working terminal that takes the client's size and its changes", async (t) => {
    await using terminal = shell("run", "-it", "--rm", "busybox", "sh");
    await terminal.waitFor(prompt);
    terminal.type("tty; stty size\r");
    await terminal.waitFor(/\/dev\/pts\/0\r\n24 80/);
    terminal.type('until [ "$(stty size)" = "50 13""2" ]; do sleep 0.05; done; stty size\r');
    // The CLI asks for the size once and listens for changes when that is told: one in between it never hears of.
    const dragged = setInterval(() => {
      terminal.resize(49, 132);
      terminal.resize(50, 132);
    }, 500);
    t.after(() => {
      clearInterval(dragged);
    });
    await terminal.waitFor(/50 132\r\n/);
    clearInterval(dragged);
    await terminal.waitFor(prompt);
    terminal.type("exit 4\r");
    assert.equal(await terminal.exited(), 4);
  });
  it("interrupts the foreground program on Ctrl-C", async () => {
    await using terminal = shell("run", "-it", "--rm", "busybox", "sh");
    await terminal.waitFor(prompt);
    // The program itself says that it is in the foreground; what the terminal echoes does not match.
    terminal.type("sh -c 'echo be\"\"gun; exec sleep 1000'\r");
    await terminal.waitFor(/begun\r\n/);
    terminal.type("\x03");
    await terminal.waitFor(prompt);
    terminal.type("echo status $?\r");
    await terminal.waitFor(/status 130/);
    await terminal.waitFor(prompt);
    terminal.type("\x04");
    await terminal.exited();
  });
  it("ends the shell on Ctrl-D", async () => {
    await using terminal = shell("run", "-it", "--rm", "busybox", "sh");
    await terminal.waitFor(prompt);
    terminal.type("\x04");
    assert.equal(await terminal.exited(), 0);
  });
  it("detaches on Ctrl-P Ctrl-Q, leaves the container running, and attaches again", async () => {
    const first = shell("run", "-it", "--name", "moored", "busybox", "sh");
    await first.waitFor(prompt);
    first.type("mark=kept\r");
    await first.waitFor(prompt);
    first.type("\x10\x11");
    assert.equal(await first.exited(), 0);
    assert.equal(await engine.docker(["inspect", "-f", "{{.State.Running}}", "moored"]), "true");
    await using second = shell("attach", "moored");
    second.type("echo $mark\r");
    await second.waitFor(/kept\r\n/);
    second.type("exit\r");
    await second.exited();
    await engine.docker(["rm", "moored"]);
  });
  it("detaches by the keys that the client chose", async () => {
    const terminal = shell(
      "run",
      "-it",
      "--name",
      "keys",
      "--detach-keys",
      "ctrl-a,d",
      "busybox",
      "sh",
    );
    await terminal.waitFor(prompt);
    terminal.type("\x01d");
    assert.equal(await terminal.exited(), 0);
    await engine.docker(["rm", "-f", "keys"]);
  });
});

describe("docker exec -it", () => {
  it("opens a terminal in a running container and returns its exit code", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    await using terminal = shell("exec", "-it", id, "sh");
    await terminal.waitFor(prompt);
    terminal.type("ps | grep -c 'sleep 1000'; tty\r");
    await terminal.waitFor(/\/dev\/pts\/0/);
    terminal.type("exit 6\r");
    assert.equal(await terminal.exited(), 6);
    await engine.docker(["rm", "-f", id]);
  });
});

describe("what a user watches on a terminal", () => {
  it("two attached terminals show the same, and both may type", async () => {
    await engine.docker(["run", "-dit", "--name", "shared", "busybox", "sh"]);
    await using first = shell("attach", "shared");
    await using second = shell("attach", "shared");
    // Each is attached when it sees what it asked for itself.
    for (const [index, terminal] of [first, second].entries()) {
      terminal.type(`echo here-$((20+${String(index)}))\r`);
      await terminal.waitFor(new RegExp(`here-${String(20 + index)}\\r\\n`));
    }
    first.type("echo from-$((40+1))\r");
    for (const terminal of [first, second]) await terminal.waitFor(/from-41\r\n/);
    second.type("echo from-$((40+2)); exit 3\r");
    for (const terminal of [first, second]) {
      await terminal.waitFor(/from-42\r\n/);
      assert.equal(await terminal.exited(), 3);
    }
    await engine.docker(["rm", "shared"]);
  });

  it("docker logs -f ends where a restart ends the run, and shows both runs when asked again", async () => {
    const script = "echo run; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    const id = await engine.docker(["run", "-d", "busybox", "sh", "-c", script]);
    await using follower = shell("logs", "-f", id);
    await follower.waitFor(/run\r\n/);
    await engine.docker(["restart", id]);
    assert.equal(await follower.exited(), 0);
    await using again = shell("logs", "-f", id);
    await again.waitFor(/run\r\nrun\r\n/);
    await engine.docker(["rm", "-f", id]);
    assert.equal(await again.exited(), 0);
  });

  it("docker stats goes on showing new figures, docker top shows the processes", async () => {
    const id = await engine.docker(["run", "-d", "--name", "busy", "busybox", "sleep", "4321"]);
    await using stats = shell("stats", "busy");
    for (let round = 0; round < 2; round += 1)
      await stats.waitFor(/CONTAINER ID[^\n]*\n[^\n]*\bbusy\b[^\n]*\d%[^\n]*(?:MiB|KiB)/);
    await using top = shell("top", "busy", "-o", "pid,args");
    await top.waitFor(/PID +COMMAND\r\n\d+ +sleep 4321\r\n/);
    assert.equal(await top.exited(), 0);
    await engine.docker(["rm", "-f", id]);
  });
});
