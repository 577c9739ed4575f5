/** The name server of a shim process, asked over its sockets in the container's network namespace. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { describe, it } from "node:test";
import { mustRun } from "@gantry/testkit/run";
import type { Order } from "./name-client.ts";
import { Playground, type Shim } from "./shim-driver.ts";
import { type PlanInit, processOf } from "./shim-plan.ts";

type Table = NonNullable<PlanInit["names"]>;

const types = { a: 1, ptr: 12, mx: 15, txt: 16, aaaa: 28, https: 65 } as const;
const v4 = (last: number): Uint8Array => Uint8Array.of(10, 1, 0, last);
const v6 = (last: number): Uint8Array => Uint8Array.from([0xfd, ...Array(14).fill(0), last]);

/** Programs in a container's network namespace. */
class Client implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async in(pid: number): Promise<Client> {
    const program = path.join(import.meta.dirname, "name-client.ts");
    const child = spawn("nsenter", ["-n", "-t", String(pid), process.execPath, program], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    await once(child, "message");
    return new Client(child);
  }

  async order(order: Order): Promise<string> {
    const answered = once(this.#process, "message");
    this.#process.send(order);
    const [{ answer, error }] = (await answered) as [{ answer?: string; error?: string }];
    if (answer === undefined) throw new Error(error);
    return answer;
  }

  async ask(message: Buffer, protocol: "udp" | "tcp" = "udp"): Promise<Answer> {
    const order = { verb: "ask", protocol, message: message.toString("base64") } as const;
    return readAnswer(Buffer.from(await this.order(order), "base64"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#process, "exit");
    this.#process.disconnect();
    await gone;
  }
}

function queryFor(name: string, type: number, options: { udpMax?: number } = {}): Buffer {
  const labels = name
    .split(".")
    .map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, "latin1"));
  const edns = options.udpMax;
  const header = Buffer.from([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns === undefined ? 0 : 1]);
  const tail = Buffer.from([0, type >> 8, type & 0xff, 0, 1]);
  const opt =
    edns === undefined
      ? Buffer.alloc(0)
      : Buffer.from([0, 0, 41, edns >> 8, edns & 0xff, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...labels, tail, opt]);
}

interface Answer {
  readonly size: number;
  readonly id: number;
  readonly rcode: number;
  readonly truncated: boolean;
  readonly hasEdns: boolean;
  /** Data of the answer section. */
  readonly data: Buffer[];
}

function readAnswer(bytes: Buffer): Answer {
  assert.ok(bytes.length >= 12, "no answer came");
  const count = bytes.readUInt16BE(6);
  let at = 12;
  if (bytes.readUInt16BE(4) === 1) {
    while (bytes[at] !== 0) at += 1 + (bytes[at] ?? 0);
    at += 5;
  }
  const data: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    assert.equal(bytes.readUInt16BE(at), 0xc00c);
    assert.equal(bytes.readUInt32BE(at + 6), 600);
    const length = bytes.readUInt16BE(at + 10);
    data.push(bytes.subarray(at + 12, at + 12 + length));
    at += 12 + length;
  }
  return {
    size: bytes.length,
    id: bytes.readUInt16BE(0),
    rcode: (bytes[3] ?? 0) & 15,
    truncated: ((bytes[2] ?? 0) & 2) !== 0,
    hasEdns: bytes.readUInt16BE(10) === 1,
    data,
  };
}

const texts = (answer: Answer): string[] => answer.data.map((each) => [...each].join("."));

function tableOf(changes: Partial<Table> = {}): Table {
  return {
    version: 1,
    networks: [
      {
        id: "n1",
        name: "Harbour",
        links: [{ alias: "store", name: "db" }],
        members: [
          { id: "c1", names: ["web", "www"], addresses: [v4(1), v6(1)] },
          { id: "c2", names: ["db", "www"], addresses: [v4(2)] },
        ],
      },
    ],
    upstreams: [],
    hasWayOut: true,
    ...changes,
  } as Table;
}

async function launched(
  playground: Playground,
  names: Table | undefined,
): Promise<{ shim: Shim; pid: number }> {
  const shim = playground.launch({
    process: processOf(["sleep", "1000"]),
    ...(names === undefined ? {} : { names }),
  });
  const { pid } = await shim.message("started");
  return { shim, pid };
}

describe("name server of a shim process", () => {
  it("answers by name, alias, link, network and address", async () => {
    await using playground = await Playground.make();
    const { pid } = await launched(playground, tableOf());
    await using client = await Client.in(pid);
    assert.deepEqual(texts(await client.ask(queryFor("web", types.a))), ["10.1.0.1"]);
    assert.deepEqual(texts(await client.ask(queryFor("WeB.harbour", types.a))), ["10.1.0.1"]);
    assert.deepEqual(texts(await client.ask(queryFor("store", types.a), "tcp")), ["10.1.0.2"]);
    assert.deepEqual((await client.ask(queryFor("web", types.aaaa))).data, [Buffer.from(v6(1))]);
    const pointer = await client.ask(queryFor("2.0.1.10.in-addr.arpa", types.ptr));
    assert.equal(pointer.data[0]?.toString("latin1"), "\x02db\x07Harbour\0");
    const nibbles = [...v6(1)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const reverse = `${[...nibbles].reverse().join(".")}.ip6.arpa`;
    assert.equal(
      (await client.ask(queryFor(reverse, types.ptr))).data[0]?.toString("latin1"),
      "\x03web\x07Harbour\0",
    );
  });

  it("gives nothing, and no error, for a known name without such a record", async () => {
    await using playground = await Playground.make();
    const { pid } = await launched(playground, tableOf());
    await using client = await Client.in(pid);
    for (const type of [types.aaaa, types.https, types.txt]) {
      const { rcode, data } = await client.ask(queryFor("db", type));
      assert.deepEqual({ rcode, data }, { rcode: 0, data: [] });
    }
    const unknown = await client.ask(queryFor("nobody", types.a));
    assert.deepEqual([unknown.rcode, unknown.id], [2, 0xabcd]);
  });

  it("lets each address of a shared name come first", async () => {
    await using playground = await Playground.make();
    const { pid } = await launched(playground, tableOf());
    await using client = await Client.in(pid);
    const first = new Set<string | undefined>();
    for (let i = 0; i < 40; i++) {
      const addresses = texts(await client.ask(queryFor("www", types.a)));
      assert.deepEqual(addresses.toSorted(), ["10.1.0.1", "10.1.0.2"]);
      first.add(addresses[0]);
    }
    assert.equal(first.size, 2);
  });

  it("truncates what does not fit a datagram, and gives it all by TCP or to who takes more", async () => {
    await using playground = await Playground.make();
    const members = Array.from({ length: 60 }, (_, index) => ({
      id: `m${String(index)}`,
      names: ["many"],
      addresses: [v4(index)],
    }));
    const networks = [{ id: "n", name: "net", links: [], members }];
    const { pid } = await launched(playground, tableOf({ networks }));
    await using client = await Client.in(pid);
    const plain = await client.ask(queryFor("many", types.a));
    assert.ok(plain.truncated && plain.size <= 512 && plain.data.length > 25);
    const large = await client.ask(queryFor("many", types.a, { udpMax: 1400 }));
    assert.ok(!large.truncated && large.hasEdns);
    assert.equal(large.data.length, 60);
    const stream = await client.ask(queryFor("many", types.a), "tcp");
    assert.ok(!stream.truncated);
    assert.equal(new Set(texts(stream)).size, 60);
  });

  it("refuses what is no query, and answers on", async () => {
    await using playground = await Playground.make();
    const { pid } = await launched(playground, tableOf());
    await using client = await Client.in(pid);
    const query = queryFor("web", types.a);
    const twoQuestions = Buffer.from(query);
    twoQuestions[5] = 2;
    assert.equal((await client.ask(twoQuestions)).rcode, 1);
    const compressed = Buffer.concat([query.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
    assert.equal((await client.ask(compressed)).rcode, 1);
    const update = Buffer.from(query);
    update[2] = 0x28;
    assert.equal((await client.ask(update)).rcode, 4);
    assert.deepEqual(texts(await client.ask(query)), ["10.1.0.1"]);
  });

  it("follows changes, and asks for the whole table when it lacks the network", async () => {
    await using playground = await Playground.make();
    const { shim, pid } = await launched(playground, tableOf());
    await using client = await Client.in(pid);
    const put = [{ id: "c3", names: ["late"], addresses: [v4(3)] }];
    const change = { version: 1, networkId: "n1", put, drop: ["c2", "unknown"] };
    assert.equal((await shim.request({ case: "changeNames", value: change })).case, "ack");
    assert.deepEqual(texts(await client.ask(queryFor("late", types.a))), ["10.1.0.3"]);
    assert.equal((await client.ask(queryFor("db", types.a))).rcode, 2);
    const elsewhere = await shim.request({
      case: "changeNames",
      value: { ...change, networkId: "n2" },
    });
    assert.equal(elsewhere.case === "error" && elsewhere.value.code, "not_found");
    const other = await shim.request({ case: "setNames", value: { ...tableOf(), version: 2 } });
    assert.equal(other.case === "error" && other.value.code, "invalid");
  });

  it("is made in a container that was started without one, and leaves port 53 to programs", async () => {
    await using playground = await Playground.make();
    const { shim, pid } = await launched(playground, undefined);
    await using client = await Client.in(pid);
    await client.order({ verb: "bind53" });
    assert.equal((await shim.request({ case: "setNames", value: tableOf() })).case, "ack");
    assert.deepEqual(texts(await client.ask(queryFor("web", types.a))), ["10.1.0.1"]);
    assert.deepEqual(texts(await client.ask(queryFor("web", types.a), "tcp")), ["10.1.0.1"]);
  });

  it("asks other servers for other records of known names, which exist whatever those say", async () => {
    await using playground = await Playground.make();
    const { shim, pid } = await launched(playground, tableOf());
    await using client = await Client.in(pid);
    const asked = async (server: number, rcode: number): Promise<number> => {
      const address = Uint8Array.of(127, 0, 0, server);
      await client.order({ verb: "serve", address: address.join("."), rcode });
      await shim.request({ case: "setNames", value: tableOf({ upstreams: [{ address }] }) });
      assert.equal((await client.ask(queryFor("db", types.mx))).rcode, 0);
      return (await client.ask(queryFor("db", types.txt))).rcode;
    };
    const [notImplemented, noSuchName, refused] = [4, 3, 5];
    assert.equal(await asked(50, notImplemented), notImplemented);
    assert.equal(await asked(51, noSuchName), 0);
    assert.equal(await asked(52, refused), 0);
  });

  it("asks other servers for what it does not know, one after the other", async () => {
    await using playground = await Playground.make();
    const address = (last: number): Uint8Array => Uint8Array.of(127, 0, 0, last);
    // Nobody listens on the first, the second fails, the third never answers, the fourth would.
    const upstreams = [50, 51, 52].map((last) => ({ address: address(last) }));
    const { shim, pid } = await launched(playground, tableOf({ upstreams }));
    await using client = await Client.in(pid);
    await client.order({ verb: "serve", address: "127.0.0.51", rcode: 2 });
    await client.order({ verb: "serve", address: "127.0.0.52", rcode: 3 });
    for (const protocol of ["udp", "tcp"] as const) {
      const answer = await client.ask(queryFor("example.test", types.txt), protocol);
      assert.deepEqual([answer.rcode, answer.id], [3, 0xabcd]);
    }
    await client.order({ verb: "serve", address: "127.0.0.53", rcode: -1 });
    const silentFirst = [53, 52].map((last) => ({ address: address(last) }));
    await shim.request({
      case: "setNames",
      value: tableOf({ upstreams: silentFirst }),
    });
    assert.equal((await client.ask(queryFor("example.test", types.a))).rcode, 3);
    // A single label is kept back where the user wants search domains tried first.
    await shim.request({
      case: "setNames",
      value: tableOf({ upstreams: silentFirst, keepSingleLabels: true }),
    });
    assert.equal((await client.ask(queryFor("example", types.a))).rcode, 0);
    // The host's servers are not asked for a container that has no way out.
    const ofHost = [{ address: address(52), fromHost: true }];
    await shim.request({
      case: "setNames",
      value: tableOf({ upstreams: ofHost, hasWayOut: false }),
    });
    assert.equal((await client.ask(queryFor("example.test", types.a))).rcode, 2);
  });

  it("asks a link-local server on the link that it is told, by name or number", async () => {
    await using playground = await Playground.make();
    const { shim, pid } = await launched(playground, tableOf());
    const inside = ["nsenter", "-n", "-t", String(pid), "ip"];
    await mustRun([...inside, "address", "add", "fe80::35/64", "dev", "lo", "nodad"]);
    await using client = await Client.in(pid);
    const [notImplemented, failed] = [4, 2];
    await client.order({ verb: "serve", address: "fe80::35%lo", rcode: notImplemented });
    const address = Uint8Array.from([0xfe, 0x80, ...Array<number>(13).fill(0), 0x35]);
    const asked = async (zone: string, protocol: "udp" | "tcp"): Promise<number> => {
      await shim.request({ case: "setNames", value: tableOf({ upstreams: [{ address, zone }] }) });
      return (await client.ask(queryFor("example.test", types.a), protocol)).rcode;
    };
    for (const protocol of ["udp", "tcp"] as const) {
      assert.equal(await asked("lo", protocol), notImplemented);
      assert.equal(await asked("1", protocol), notImplemented);
      assert.equal(await asked("nolink", protocol), failed);
      assert.equal(await asked("a-name-longer-than-links-have", protocol), failed);
    }
  });

  it("has 1024 questions under way, as Docker's, and refuses more", async () => {
    await using playground = await Playground.make();
    const address = Uint8Array.of(127, 0, 0, 53);
    const { pid } = await launched(playground, tableOf({ upstreams: [{ address }] }));
    await using client = await Client.in(pid);
    await client.order({ verb: "serve", address: "127.0.0.53", rcode: -1 });
    const message = queryFor("example.test", types.a).toString("base64");
    const codes = JSON.parse(
      await client.order({ verb: "flood", count: 1030, message }),
    ) as unknown;
    assert.deepEqual(codes, { 2: 1024, 5: 6 });
  });
});
