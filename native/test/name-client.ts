/**
 * A program that speaks DNS in the network namespace it is started in, on orders by IPC: asks servers, and is one.
 * Messages go to and fro as base64.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, isIPv6 } from "node:net";

/** What it is asked to do. */
export type Order =
  /** Sends a message to 127.0.0.11 and returns the answer; empty when none comes within two seconds. */
  | { readonly verb: "ask"; readonly protocol: "udp" | "tcp"; readonly message: string }
  /** Serves on an address: answers with `rcode`, one TXT-less header per query; `-1` stays silent. */
  | { readonly verb: "serve"; readonly address: string; readonly rcode: number }
  /** Sends a message many times over one connection and returns how many answers had each code, as JSON. */
  | { readonly verb: "flood"; readonly count: number; readonly message: string }
  /** Binds 0.0.0.0:53 (UDP and TCP) as any name server would. */
  | { readonly verb: "bind53" };

const silenceMs = 6_000;

function askUdp(message: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    const timer = setTimeout(() => {
      socket.close();
      resolve(Buffer.alloc(0));
    }, silenceMs);
    socket.once("message", (answer, from) => {
      clearTimeout(timer);
      socket.close();
      // A resolver takes answers from where it asked only.
      if (from.address === "127.0.0.11" && from.port === 53) resolve(answer);
      else reject(new Error(`answer from ${from.address}:${String(from.port)}`));
    });
    socket.send(message, 53, "127.0.0.11");
  });
}

function askTcp(message: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(53, "127.0.0.11");
    let received = Buffer.alloc(0);
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      socket.end();
      resolve(received.subarray(2));
    });
    const frame = Buffer.alloc(2);
    frame.writeUInt16BE(message.length);
    // In two pieces: a server has to wait for the rest.
    socket.write(Buffer.concat([frame, message.subarray(0, 5)]), () => {
      socket.write(message.subarray(5));
    });
  });
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Answers of as many questions at once, counted by their code. */
function flood(message: Buffer, count: number): Promise<Record<number, number>> {
  return new Promise((resolve, reject) => {
    const socket = connect(53, "127.0.0.11");
    const codes: Record<number, number> = {};
    let received = Buffer.alloc(0);
    let open = count;
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const code = received.readUInt8(5) & 0x0f;
        codes[code] = (codes[code] ?? 0) + 1;
        open -= 1;
        received = received.subarray(2 + received.readUInt16BE(0));
      }
      if (open > 0) return;
      socket.end();
      resolve(codes);
    });
    for (let i = 0; i < count; ++i) socket.write(framed(message));
  });
}

/** The query with its answer bit and a code; the answer section stays empty. */
function answerTo(query: Buffer, rcode: number): Buffer {
  const answer = Buffer.from(query);
  answer[2] = (answer[2] ?? 0) | 0x80;
  answer[3] = 0x80 | rcode;
  return answer;
}

async function serve(address: string, rcode: number): Promise<void> {
  const udp: UdpSocket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  udp.on("message", (query, from) => {
    if (rcode >= 0) udp.send(answerTo(query, rcode), from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(53, address, resolve));
  const tcp = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      if (rcode < 0) return;
      socket.write(framed(answerTo(chunk.subarray(2), rcode)));
    });
  });
  await new Promise<void>((resolve) => tcp.listen(53, address, resolve));
}

async function act(order: Order): Promise<string> {
  switch (order.verb) {
    case "ask": {
      const message = Buffer.from(order.message, "base64");
      const answer = await (order.protocol === "udp" ? askUdp(message) : askTcp(message));
      return answer.toString("base64");
    }
    case "flood":
      return JSON.stringify(await flood(Buffer.from(order.message, "base64"), order.count));
    case "serve":
      await serve(order.address, order.rcode);
      return "";
    case "bind53":
      await serve("0.0.0.0", 0);
      return "";
  }
}

process.on("message", (order: Order) => {
  act(order).then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => {
  process.exit(0);
});
process.send?.({ answer: "ready" });
