/** Asking and answering over TCP and UDP; also the program that lives in the network namespaces of the tests. */
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";

export type Protocol = "tcp" | "udp";

/** What the program is told by its parent. */
export interface PeerOrder {
  readonly verb: "serve" | "ask" | "flow";
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  /** How long an answer is waited for. */
  readonly patienceMs?: number;
}

/** How long an answer is waited for that is due: a busy machine may take its time. */
const patienceMs = 10_000;

/** The same where none is expected: a dropped packet is never answered. Intentionally short. */
export const brieflyMs = 700;

/** Answers everybody with the address that it sees them come from. */
async function serve(protocol: Protocol, address: string, port: number): Promise<void> {
  if (protocol === "udp") {
    const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.on("message", (_, from) => {
      socket.send(from.address, from.port, from.address);
    });
    socket.bind(port, address);
    await once(socket, "listening");
    return;
  }
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(socket.remoteAddress?.replace(/^::ffff:/, "") ?? "");
  });
  server.listen(port, address);
  await once(server, "listening");
}

/** The answer, `refused` or `timeout`. */
export function ask(
  protocol: Protocol,
  address: string,
  port: number,
  waitMs = patienceMs,
): Promise<string> {
  return protocol === "tcp" ? askTcp(address, port, waitMs) : askUdp(address, port, waitMs);
}

function askTcp(address: string, port: number, waitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, address);
    const end = (answer: string): void => {
      socket.destroy();
      resolve(answer);
    };
    let text = "";
    socket.setEncoding("utf8");
    socket.setTimeout(waitMs, () => {
      end("timeout");
    });
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("end", () => {
      end(text);
    });
    socket.on("error", () => {
      end("refused");
    });
  });
}

function askUdp(address: string, port: number, waitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
    const timer = setTimeout(() => {
      end("timeout");
    }, waitMs);
    const end = (answer: string): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    socket.on("message", (text) => {
      end(text.toString());
    });
    socket.on("error", () => {
      end("refused");
    });
    socket.connect(port, address, () => {
      socket.send("?");
    });
  });
}

const flows = new Map<number, dgram.Socket>();

/** As ask over UDP, but always from the same socket for a port. */
async function askFlow(address: string, port: number, waitMs: number): Promise<string> {
  let socket = flows.get(port);
  if (socket === undefined) {
    socket = dgram.createSocket("udp4");
    socket.on("error", () => undefined);
    flows.set(port, socket);
    socket.bind();
    await once(socket, "listening");
  }
  socket.send("?", port, address);
  try {
    const [text] = (await once(socket, "message", {
      signal: AbortSignal.timeout(waitMs),
    })) as [Buffer];
    return text.toString();
  } catch {
    return "timeout";
  }
}

async function obey({ verb, protocol, address, port, ...more }: PeerOrder): Promise<string> {
  const waitMs = more.patienceMs ?? patienceMs;
  if (verb === "ask") return ask(protocol, address, port, waitMs);
  if (verb === "flow") return askFlow(address, port, waitMs);
  await serve(protocol, address, port);
  return "ready";
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  process.on("message", (order: PeerOrder) => {
    void obey(order).then((answer) => process.send?.(answer));
  });
  process.send("ready");
}
