/** Rows of what passes through the networks: bytes in bulk, and small requests one after the other. */
import { makeDebianArchive } from "@gantry/testkit/debian-image";
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import type { Engine } from "./engine.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";

const image = "flow:1";
const network = "bench-flow";
const server = "bench-flow-server";
const client = "bench-flow-client";
const host = "bench-flow-host";
const bulkPort = 5201;
const echoPort = 5202;
/** Bytes of one round, as iperf3 writes them. */
const bulk = "4G";
/** Requests of one round. */
const requests = 20_000;
/** 0.95 of the peer's throughput: so much longer for the same bytes. */
const goal = 1.05;

/** Answers what it gets, on every connection. */
const echo = `
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(64):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("", ${String(echoPort)}), Echo).serve_forever()
`;

/** Prints how many milliseconds the requests took, each sent after the answer to the one before. */
const ask = `
import socket, sys, time
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
began = time.monotonic()
for _ in range(${String(requests)}):
    peer.sendall(b"x" * 64)
    got = 0
    while got < 64:
        got += len(peer.recv(64 - got))
print((time.monotonic() - began) * 1000)
`;

interface Way {
  readonly name: string;
  /** The container that asks. */
  readonly from: string;
  /** Where it finds a port of the server. */
  readonly address: (engine: Engine, port: number) => Promise<readonly [string, string]>;
}

const ways: readonly Way[] = [
  {
    name: "from container to container",
    from: client,
    address: (_, port) => Promise.resolve([server, String(port)]),
  },
  { name: "through a published port", from: host, address: published },
];

/** From container to container on a network of the user's, and from the host through a published port. */
export function flowRows(rounds: number): Timed[] {
  return ways.flatMap(({ name, from, address }): Timed[] => [
    {
      title: `${bulk}B ${name} (iperf3)`,
      goal,
      net: false,
      rounds,
      before: setUp,
      act: async (engine) => {
        const [to, port] = await address(engine, bulkPort);
        const command = ["iperf3", "-c", to, "-p", port, "-n", bulk, "-J"];
        const report = JSON.parse(await docker(engine, ["exec", from, ...command])) as Report;
        return report.end.sum_received.seconds * 1000;
      },
      after: tearDown,
    },
    {
      title: `${String(requests)} small requests ${name}`,
      goal,
      net: false,
      rounds,
      before: setUp,
      act: async (engine) => {
        const [to, port] = await address(engine, echoPort);
        return Number(await docker(engine, ["exec", from, "python3", "-c", ask, to, port]));
      },
      after: tearDown,
    },
  ]);
}

/** What is read of iperf3's report. */
interface Report {
  readonly end: { readonly sum_received: { readonly seconds: number } };
}

/** The host's address on the default bridge: what loopback gets takes another way in both engines. */
async function published(engine: Engine, port: number): Promise<readonly [string, string]> {
  const gateway = "{{(index .IPAM.Config 0).Gateway}}";
  const address = await docker(engine, ["network", "inspect", "-f", gateway, "bridge"]);
  const line = await docker(engine, ["port", server, `${String(port)}/tcp`]);
  return [address.trim(), /:(\d+)$/m.exec(line)?.[1] ?? ""];
}

async function setUp(engine: Engine): Promise<void> {
  const there = await docker(engine, ["ps", "-q", "-f", `name=^/${server}$`]);
  if (there.trim() !== "") return;
  if ((await docker(engine, ["images", "-q", image])).trim() === "") {
    const env = cleanEnvironment({ DOCKER_HOST: engine.dockerHost });
    const input = await makeDebianArchive(["iperf3", "python3"], image);
    await mustRun(["docker", "load"], { env, input });
  }
  const run = async (name: string, args: readonly string[], command: readonly string[]) => {
    await docker(engine, ["run", "-d", "--name", name, ...args, image, ...command]);
  };
  await docker(engine, ["network", "create", network]);
  const ports = [bulkPort, echoPort].flatMap((port) => ["-p", String(port)]);
  await run(server, ["--network", network, ...ports], ["iperf3", "-s"]);
  await docker(engine, ["exec", "-d", server, "python3", "-c", echo]);
  await run(client, ["--network", network], ["sleep", "1000000"]);
  await run(host, ["--network", "host"], ["sleep", "1000000"]);
  await untilAnswers(engine);
}

/** The programs take a moment to listen. */
async function untilAnswers(engine: Engine): Promise<void> {
  const look = `
import socket, sys, time
until = time.monotonic() + 30
for port in (${String(bulkPort)}, ${String(echoPort)}):
    while socket.socket().connect_ex(("${server}", port)) != 0:
        if time.monotonic() > until: sys.exit(f"nothing listens at {port}")
        time.sleep(0.05)
`;
  await docker(engine, ["exec", client, "python3", "-c", look]);
}

async function tearDown(engine: Engine): Promise<void> {
  await docker(engine, ["rm", "-f", server, client, host]);
  await docker(engine, ["network", "rm", network]);
}
