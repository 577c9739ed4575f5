/** What a shim program itself tells on NATS. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { describe, it } from "node:test";
import { startNats } from "@gantry/testkit";
import { holds, Playground } from "./shim-driver.ts";
import { type PlanInit, processOf } from "./shim-plan.ts";

const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });

describe("events on NATS", () => {
  /** Messages of a subscription to everything under gantry.process, by the text protocol. */
  async function subscribe(url: string): Promise<{
    messages: { subject: string; id: string; body: Record<string, unknown> }[];
    end: () => void;
  }> {
    const { username, password, port } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    const messages: { subject: string; id: string; body: Record<string, unknown> }[] = [];
    let text = "";
    socket.write(
      `CONNECT ${JSON.stringify({ verbose: false, headers: true, user: username, pass: decodeURIComponent(password) })}\r\nSUB gantry.process.> 1\r\nPING\r\n`,
    );
    await new Promise<void>((resolve) => {
      socket.on("data", (chunk) => {
        text += chunk.toString();
        if (text.includes("PONG")) resolve();
        for (const match of text.matchAll(
          /HMSG (\S+) 1 \d+ \d+\r\nNATS\/1\.0\r\nNats-Msg-Id: (\S+)\r\n\r\n(\{.*\})\r\n/g,
        )) {
          if (!messages.some((known) => known.id === match[2]))
            messages.push({
              subject: match[1] ?? "",
              id: match[2] ?? "",
              body: JSON.parse(match[3] ?? ""),
            });
        }
      });
    });
    return { messages, end: () => socket.destroy() };
  }

  it("tell of start, exec and exit, with message IDs that differ from run to run", async () => {
    await using playground = await Playground.make();
    await using nats = await startNats({ dir: playground.folder, jetstream: false });
    writeFileSync(playground.path("nats.url"), `${nats.url}\n`);
    const { messages, end } = await subscribe(nats.url);
    for (let run = 0; run < 2; run++) {
      const shim = playground.launch({
        ...sh("sleep 100"),
        natsUrlPath: playground.path("nats.url"),
      });
      const { pid } = await shim.message("started");
      await shim.exec(["sh", "-c", "exit 4"]);
      await shim.request({ case: "signal", value: { signal: 9 } });
      await shim.message("exited");
      await holds(() => messages.length === 3 * (run + 1));
      const id = "c".repeat(64);
      const [started, exec, exited] = messages.slice(3 * run);
      assert.deepEqual(
        [started?.subject, exec?.subject, exited?.subject],
        ["started", "exec-exited", "exited"].map((event) => `gantry.process.${event}.${id}`),
      );
      assert.deepEqual(
        [
          started?.body["pid"],
          exec?.body["exitCode"],
          exited?.body["exitCode"],
          exited?.body["signal"],
        ],
        [pid, 4, 137, 9],
      );
      assert.equal(exited?.id, `${id}:${String(exited?.body["seq"])}`);
      assert.equal(shim.exitRecord()["seq"], exited?.body["seq"]);
    }
    assert.equal(new Set(messages.map((message) => message.id)).size, 6);
    end();
  });

  it("hold nothing up when nobody answers", async () => {
    await using playground = await Playground.make();
    await using silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as { port: number };
    writeFileSync(playground.path("nats.url"), `nats://127.0.0.1:${String(port)}`);
    const shim = playground.launch({ ...sh("true"), natsUrlPath: playground.path("nats.url") });
    const begun = Date.now();
    await shim.message("exited");
    assert.ok(Date.now() - begun < 1500);
    await shim.exitOfProcess();
    assert.ok(Date.now() - begun < 5000);
  });

  it("are dropped when there is no broker", async () => {
    await using playground = await Playground.make();
    writeFileSync(playground.path("nats.url"), "nats://127.0.0.1:1");
    for (const natsUrlPath of [playground.path("nats.url"), playground.path("missing")]) {
      const shim = playground.launch({ ...sh("true"), natsUrlPath });
      await shim.message("exited");
      await shim.exitOfProcess();
    }
  });
});
