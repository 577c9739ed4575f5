import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "@gantry/testkit";

const native = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const builds = ["build", "build-asan"].filter((name) =>
  existsSync(path.join(native, name, "relay")),
);
assert.ok(builds.length > 0, "build the relay program first: make -C native all asan");

type Answer = Record<string, unknown>;

class Control {
  readonly socket: Socket;
  readonly #answers: ((answer: Answer) => void)[] = [];

  constructor(socketPath: string) {
    this.socket = connect(socketPath);
    this.socket.on("error", () => undefined);
    let rest = "";
    this.socket.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#answers.shift()?.(JSON.parse(line) as Answer);
    });
  }

  ask(request: unknown): Promise<Answer> {
    this.socket.write(`${typeof request === "string" ? request : JSON.stringify(request)}\n`);
    return new Promise((resolve) => this.#answers.push(resolve));
  }
}

interface Relay {
  child: ChildProcess;
  socketPath: string;
  control: Control;
}

async function waitFor(condition: () => boolean, what: string, everyMs = 5): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

async function startRelay(t: TestContext, build: string): Promise<Relay> {
  const directory = mkdtempSync(path.join(tmpdir(), "gantry-relay-"));
  const socketPath = path.join(directory, "relay.sock");
  const child = spawn(path.join(native, build, "relay"), ["--socket", socketPath], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(directory, { recursive: true });
  });
  await waitFor(() => existsSync(socketPath), "the relay did not open its socket");
  const control = new Control(socketPath);
  t.after(() => control.socket.destroy());
  return { child, socketPath, control };
}

/** A TCP server in the place of a container. */
async function container(
  t: TestContext,
  onConnection: (socket: Socket) => void,
  host = "127.0.0.2",
): Promise<AddressInfo> {
  const server: Server = createServer({ allowHalfOpen: true }, onConnection);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server.address() as AddressInfo;
}

/** A port of the address that nothing listens on. */
async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function publish(
  relay: Relay,
  target: { address: string; port: number },
  host = "127.0.0.1",
  proto = "tcp",
): Promise<number> {
  const hostPort = await freePort(host);
  const request = {
    op: "add",
    id: `${proto}-${hostPort}`,
    proto,
    hostIp: host,
    hostPort,
    containerIp: target.address,
    containerPort: target.port,
  };
  assert.deepEqual(await relay.control.ask(request), {
    op: "add",
    id: request.id,
    ok: true,
    hostPort,
  });
  return hostPort;
}

/** All that comes until the other side ends its stream; unlike an iterator, it leaves the socket open. */
function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    socket.on("end", () => resolve(Buffer.concat(chunks)));
    socket.on("error", reject);
  });
}

/** The end of a socket, in whatever way. */
function closed(socket: Socket): Promise<void> {
  socket.on("error", () => undefined);
  return new Promise((resolve) => socket.on("close", () => resolve()));
}

function udpAnswer(socket: UdpSocket): Promise<[Buffer, { address: string; port: number }]> {
  return once(socket, "message") as unknown as Promise<[Buffer, { address: string; port: number }]>;
}

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
      // It has stopped when nothing more was taken for a while.
      while (before !== written) {
        before = written;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
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
      await waitFor(
        () => {
          const last = before;
          before = switches();
          return last === before;
        },
        "it does not come to rest",
        1500,
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
      await waitFor(() => {
        if (!control || control.socket.destroyed) control = new Control(relay.socketPath);
        return control.socket.readyState === "open";
      }, "the third relay did not serve");
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
        await waitFor(() => existsSync(socketPath), "the relay did not open its socket", 1);
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
