/** What the relay carries: TCP and UDP, both address families. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit";

import {
  type Answer,
  builds,
  closed,
  container,
  freePort,
  publish,
  readAll,
  startRelay,
  udpAnswer,
} from "./relay-program.ts";

for (const build of builds) {
  describe(`relay (${build})`, () => {
    it("carries both directions of a TCP connection, and each end of stream by itself", async (t) => {
      const relay = await startRelay(t, build);
      const target = await container(t, (socket) => {
        void readAll(socket).then((request) => socket.end(`answer to ${request.toString()}`));
      });
      const client = connect({
        port: await publish(relay, target),
        host: "127.0.0.1",
        allowHalfOpen: true,
      });
      client.end("question");
      assert.equal((await readAll(client)).toString(), "answer to question");
    });

    it("passes on bulk data unharmed, and holds the writer back while nobody reads", async (t) => {
      const relay = await startRelay(t, build);
      // More than all the kernel's buffers on the way hold.
      const piece = randomBytes(1 << 20);
      const pieces = 256;
      let written = 0;
      const target = await container(t, (socket) => {
        for (let i = 1; i <= pieces; i++) socket.write(piece, () => (written = i));
        socket.end();
      });
      const client = connect(await publish(relay, target), "127.0.0.1");
      await once(client, "connect");
      let before = -1;
      // It has stopped when nothing more was taken between two looks.
      await eventually(
        () => {
          const last = before;
          before = written;
          return last === before;
        },
        { intervalMs: 300 },
      );
      assert.ok(written < pieces / 2, `${written} of ${pieces} MiB were taken with nobody reading`);
      const rss = Number(
        /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${relay.child.pid}/status`, "utf8"))?.[1],
      );
      if (build === "build") assert.ok(rss < 8_000, `the relay holds ${rss} kB`);
      const hash = createHash("sha256");
      for await (const chunk of client) hash.update(chunk as Buffer);
      const expected = createHash("sha256");
      for (let i = 0; i < pieces; i++) expected.update(piece);
      assert.equal(hash.digest("hex"), expected.digest("hex"));
    });

    it("carries many connections at once and frees them all", async (t) => {
      const relay = await startRelay(t, build);
      const target = await container(t, (socket) => void socket.pipe(socket));
      const port = await publish(relay, target);
      const descriptors = () => readdirSync(`/proc/${relay.child.pid}/fd`).length;
      const one = async (i: number): Promise<void> => {
        const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
        const message = `${i} `.repeat(5000);
        client.end(message);
        assert.equal((await readAll(client)).toString(), message);
      };
      // A client has its answer before the relay has seen both ends close.
      const idle = () =>
        eventually(async () => {
          const list = await relay.control.ask({ op: "list" });
          return (list["ports"] as Answer[])[0]?.["active"] === 0;
        });
      await Promise.all(Array.from({ length: 300 }, (_, i) => one(i)));
      await idle();
      const before = descriptors();
      await Promise.all(Array.from({ length: 300 }, (_, i) => one(i)));
      await idle();
      assert.equal(descriptors(), before);
    });

    it("refuses a client when the container refuses", async (t) => {
      const relay = await startRelay(t, build);
      const closed = await freePort("127.0.0.2");
      const client = connect(
        await publish(relay, { address: "127.0.0.2", port: closed }),
        "127.0.0.1",
      );
      const [error] = (await once(client, "error")) as [NodeJS.ErrnoException];
      assert.equal(error.code, "ECONNRESET");
    });

    it("delivers an answer whose sender reset the connection after it", async (t) => {
      const relay = await startRelay(t, build);
      const target = await container(t, (socket) => {
        // Closing with the request unread resets the connection.
        socket.once("readable", () =>
          socket.end(Buffer.alloc(20_000, "x"), () => socket.destroy()),
        );
      });
      const client = connect(await publish(relay, target), "127.0.0.1");
      const end = closed(client);
      client.write(Buffer.alloc(100_000));
      let received = 0;
      client.on("data", (chunk: Buffer) => (received += chunk.length));
      await end;
      assert.equal(received, 20_000);
    });

    it("sends new connections to where add says the container is now", async (t) => {
      const relay = await startRelay(t, build);
      const first = await container(t, (socket) => void socket.end("first"));
      const second = await container(t, (socket) => void socket.end("second"), "127.0.0.3");
      const port = await publish(relay, first);
      const request = {
        op: "add",
        id: `tcp-${port}`,
        proto: "tcp",
        hostIp: "127.0.0.1",
        hostPort: port,
      };
      assert.equal((await readAll(connect(port, "127.0.0.1"))).toString(), "first");
      await relay.control.ask({
        ...request,
        containerIp: second.address,
        containerPort: second.port,
      });
      assert.equal((await readAll(connect(port, "127.0.0.1"))).toString(), "second");
      const clash = await relay.control.ask({
        ...request,
        hostPort: port + 1,
        containerIp: second.address,
        containerPort: second.port,
      });
      assert.equal(clash["errno"], "EEXIST");
    });

    it("carries IPv6 to IPv4, beside an IPv4 socket on the same port", async (t) => {
      const relay = await startRelay(t, build);
      const target = await container(t, (socket) => void socket.end("v4 container"));
      const port = await publish(relay, target, "0.0.0.0");
      const answer = await relay.control.ask({
        op: "add",
        id: "six",
        proto: "tcp",
        hostIp: "::",
        hostPort: port,
        containerIp: target.address,
        containerPort: target.port,
      });
      assert.equal(answer["ok"], true, JSON.stringify(answer));
      assert.equal((await readAll(connect(port, "::1"))).toString(), "v4 container");
      assert.equal((await readAll(connect(port, "127.0.0.1"))).toString(), "v4 container");
    });

    it("carries UDP of many clients, answering each from the address it asked", async (t) => {
      const relay = await startRelay(t, build);
      const server = createSocket("udp4");
      server.on("message", (message, from) =>
        server.send(`${message.toString()} from ${from.port}`, from.port, from.address),
      );
      server.bind(0, "127.0.0.2");
      await once(server, "listening");
      t.after(() => server.close());
      const port = await publish(relay, server.address(), "0.0.0.0", "udp");
      const sources = new Set<string>();
      for (const asked of ["127.0.0.1", "127.0.0.9"]) {
        for (let i = 0; i < 5; i++) {
          const client = createSocket("udp4");
          const answer = udpAnswer(client);
          client.send(`message ${i}`, port, asked);
          const [message, from] = await answer;
          assert.match(message.toString(), new RegExp(`^message ${i} from `));
          assert.deepEqual([from.address, from.port], [asked, port]);
          sources.add(message.toString().split(" ").at(-1) ?? "");
          client.close();
        }
      }
      assert.equal(sources.size, 10, "each client has a flow of its own");
      const big = createSocket("udp4");
      const answer = udpAnswer(big);
      big.send(Buffer.alloc(60_000, "b"), port, "127.0.0.1");
      assert.equal((await answer)[0].length > 60_000, true);
      big.close();
      const six = await relay.control.ask({
        op: "add",
        id: "u6",
        proto: "udp",
        hostIp: "::",
        hostPort: port,
        containerIp: "127.0.0.2",
        containerPort: server.address().port,
      });
      assert.equal(six["ok"], true, JSON.stringify(six));
      const client6 = createSocket("udp6");
      const answer6 = udpAnswer(client6);
      client6.send("six", port, "::1");
      assert.equal((await answer6)[1].address, "::1");
      client6.close();
    });
  });
}
