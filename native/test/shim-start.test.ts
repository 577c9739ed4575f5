import assert from "node:assert/strict";
import { chownSync, existsSync, readFileSync, writeFileSync } from "node:fs";

import { describe, it } from "node:test";
import { holds, kernel, Playground } from "./shim-driver.ts";
import { failure, output, sh } from "./shim-output.ts";
import { processOf } from "./shim-plan.ts";

/** Gone, or only waiting to be reaped by the machine's init. */
function isDead(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").includes(" Z ");
  } catch {
    return true;
  }
}

describe("the end of the first process", () => {
  for (const [script, exitCode, signal] of [
    ["exit 0", 0, 0],
    ["exit 7", 7, 0],
    ["kill -TERM $$", 143, 15],
    ["kill -KILL $$", 137, 9],
  ] as const) {
    it(`is reported and recorded for ${script}`, async () => {
      await using playground = await Playground.make();
      // As a child of the first process: signals without a handler do not reach the init of a PID namespace from inside.
      const shim = playground.launch(
        signal === 0
          ? sh(script)
          : { ...sh(script), namespaces: [{ cloneFlag: 0x20000n }], hostname: "" },
      );
      const exited = await shim.message("exited");
      assert.equal(exited.exitCode, exitCode);
      assert.equal(exited.signal, signal);
      const record = shim.exitRecord();
      assert.equal(record["exitCode"], exitCode);
      assert.equal(record["signal"], signal);
      assert.equal(record["nonce"], "010203");
      assert.equal(record["timeNano"], String(exited.timeNano));
      assert.deepEqual(await shim.exitOfProcess(), { exitCode: 0 });
    });
  }

  it("is recorded while nobody listens", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("read line; exit 3"),
      stdio: { openStdin: true, stdinOnce: true },
      tickets: [{ ticket: new Uint8Array(32).fill(9), stdin: true }],
    });
    await shim.message("started");
    shim.dropControl();
    shim.stream(new Uint8Array(32).fill(9)).socket.end("go\n");
    await shim.exitOfProcess();
    assert.equal(shim.exitRecord()["exitCode"], 3);
  });

  it("makes nothing before the brain says that it knows of it", async () => {
    await using playground = await Playground.make();
    writeFileSync(playground.path("exit.json"), " ".repeat(512));
    const shim = playground.launch({ ...sh("exit 3"), awaitBegin: true });
    assert.equal(shim.messages.length, 0);
    assert.equal(existsSync(playground.path("json.log")), false);
    shim.sendRaw(new Uint8Array(4));
    assert.equal((await shim.message("exited")).exitCode, 3);
    const started = await shim.message("started");
    assert.deepEqual(
      [shim.exitRecord()["pid"], shim.exitRecord()["startedNano"]],
      [started.pid, String(started.timeNano)],
    );
  });

  it("ends without a trace when the brain goes before that", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ ...sh("exit 3"), awaitBegin: true });
    shim.dropControl();
    assert.deepEqual(await shim.exitOfProcess(), { exitCode: 1 });
    assert.equal(existsSync(playground.path("json.log")), false);
    assert.equal(existsSync(playground.path("shim.sock")), true);
  });

  it("tells in the record of the run that the program has begun, and takes it back when it has not", async () => {
    await using playground = await Playground.make();
    const record = playground.path("exit.json");
    writeFileSync(record, " ".repeat(512));
    const shim = playground.launch(sh("sleep 1000"));
    const { pid } = await shim.message("started");
    assert.equal(shim.exitRecord()["pid"], pid);
    assert.match(String(shim.exitRecord()["startedNano"]), /^1\d{18}$/);
    kernel.pidfdSendSignal(shim.pidfd, 9);
    await shim.exitOfProcess();
    writeFileSync(record, " ".repeat(512));
    const failed = playground.launch({ process: processOf(["/nowhere"]) });
    await failed.message("startFailed");
    assert.equal(readFileSync(record, "utf8").trim(), "");
  });

  it("takes the container along when the shim is killed", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(sh("trap '' TERM HUP; while true; do sleep 1; done"));
    const { pid } = await shim.message("started");
    kernel.pidfdSendSignal(shim.pidfd, 9);
    await holds(() => isDead(pid), 1000);
  });
});

describe("a command that cannot be run", () => {
  for (const [what, args, message, code] of [
    ["in no directory of PATH", ["nope"], 'exec: "nope": executable file not found in $PATH', 127],
    ["at no path", ["/nope"], 'exec: "/nope": stat /nope: no such file or directory', 127],
    ["not executable", ["/etc/passwd"], 'exec: "/etc/passwd": permission denied', 126],
    ["a directory", ["/etc"], 'exec: "/etc": is a directory', 126],
    [
      "below a file",
      ["/etc/passwd/x"],
      'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory',
      127,
    ],
  ] as const) {
    it(`is refused with Docker's text: ${what}`, async () => {
      const failed = await failure({ process: processOf([...args]) });
      assert.equal(failed.message, message);
      assert.equal(failed.exitCode, code);
      assert.equal(failed.step, "exec");
    });
  }

  for (const [what, content, message] of [
    ["no program format", "\u0001\u0002no program", "exec format error"],
    ["an interpreter that is missing", "#!/bin/sh\r\n", "no such file or directory"],
  ] as const) {
    it(`begins, and says itself why it ends: ${what}`, async () => {
      await using playground = await Playground.make();
      writeFileSync(playground.path("lower/bin/text"), content, { mode: 0o755 });
      const shim = playground.launch({ process: processOf(["/bin/text"]) });
      await shim.message("started");
      assert.equal((await shim.message("exited")).exitCode, 255);
      await shim.exitOfProcess();
      assert.deepEqual(
        playground.log().map(({ stream, log }) => `${stream}: ${log}`),
        [`stderr: exec /bin/text: ${message}\n`],
      );
    });
  }

  it("leaves no record and no process", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({ process: processOf(["nope"]) });
    await shim.message("startFailed");
    await shim.exitOfProcess();
    assert.equal(shim.hasExitRecord(), false);
  });
});

describe("the plan", () => {
  it("is refused with a field that is not known", async () => {
    await using playground = await Playground.make();
    // Field 3000 of LaunchPlan, a varint.
    const shim = playground.launch({
      $unknown: [{ no: 3000, wireType: 0, data: new Uint8Array([1]) }],
    });
    const failed = await shim.message("startFailed");
    assert.equal(failed.step, "plan");
  });

  it("is refused in another version", async () => {
    const failed = await failure({ protocolVersion: 2 });
    assert.match(failed.message, /version 1/);
  });
});

describe("namespaces", () => {
  it("that are not its own keep their names", async () => {
    const failed = await failure({ namespaces: [{ cloneFlag: 0x20000n }], hostname: "mine" });
    assert.equal(failed.step, "hostname");
  });

  it("carry host name, domain name and sysctls", async () => {
    const text = await output({
      ...sh(
        "hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_forward",
      ),
      domainname: "example",
      sysctls: { "kernel.shmmni": "123", "net/ipv4/ip_forward": "1" },
    });
    assert.equal(text, "box\nexample\n123\n1\n");
    assert.notEqual(readFileSync("/proc/sys/kernel/shmmni", "utf8"), "123\n");
  });

  it("of another container are joined, its PID namespace too", async () => {
    await using first = await Playground.make();
    const one = first.launch({ ...sh("sleep 100"), hostname: "first" });
    const { pid } = await one.message("started");
    await using second = await Playground.make();
    const two = second.launch({
      ...sh("hostname; ls -l /proc/self/ns/net; ps | grep -c 'sleep 100'"),
      hostname: "",
      readonlyPaths: [],
      maskedPaths: [],
      namespaces: [
        { cloneFlag: 0x20000n },
        ...[
          ["uts", 0x4000000n],
          ["net", 0x40000000n],
          ["pid", 0x20000000n],
        ].map(([name, cloneFlag]) => ({
          cloneFlag: cloneFlag as bigint,
          path: `/proc/${pid}/ns/${name}`,
        })),
      ],
    });
    assert.equal((await two.message("exited")).exitCode, 0);
    const [name, net, sleepers] = second.log().map((record) => record.log.trim());
    assert.equal(name, "first");
    assert.ok(net?.endsWith((await import("node:fs")).readlinkSync(`/proc/${pid}/ns/net`)));
    assert.notEqual(sleepers, "0");
    assert.equal(await two.exitOfProcess().then(() => one.hasExited()), false);
  });

  it("may include one for users", async () => {
    const text = await output(
      {
        ...sh("cat /proc/self/uid_map; id -u; touch /x; stat -c %u /x"),
        namespaces: [0x20000n, 0x20000000n, 0x4000000n, 0x8000000n, 0x40000000n, 0x10000000n].map(
          (cloneFlag) => ({ cloneFlag }),
        ),
        uidMap: "0 100000 65536\n",
        gidMap: "0 100000 65536\n",
        maskedPaths: [],
        readonlyPaths: [],
      },
      (playground) => {
        for (const name of ["lower", "upper", "work"])
          chownSync(playground.path(name), 100000, 100000);
      },
    );
    assert.match(text, /^ +0 +100000 +65536\n0\n0\n$/);
  });
});
