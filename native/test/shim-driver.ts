/** Runs build/shim as the brain does: a plan in a memfd, two listeners, one control connection. */
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  LaunchPlanSchema,
  type ShimMessage,
  ShimMessageSchema,
  ShimRequestSchema,
} from "@gantry/proto/shim";
import { eventually } from "@gantry/testkit";
import { debianProgram } from "@gantry/testkit/debian";
import { type Kernel, loadKernel } from "../lib/index.ts";
import {
  type PlanInit,
  type ProcessInit,
  processOf,
  type RequestInit,
  standardPlan,
} from "./shim-plan.ts";
import { Stream } from "./shim-stream.ts";

type MessageCase = Exclude<ShimMessage["message"]["case"], undefined>;
type MessageOf<C extends MessageCase> = Extract<ShimMessage["message"], { case: C }>["value"];

const program = process.env["GANTRY_SHIM"] ?? join(import.meta.dirname, "../build/shim");
export const kernel: Kernel = loadKernel();
const executable = kernel.sealExecutable(program);
const applets =
  "sh cat echo ls id sleep true false env head tail dd wc grep stat stty tty touch mkdir rm mv ln kill ps ip hostname yes printf seq sync mount readlink pwd test od tr sort mknod chmod nproc timeout".split(
    " ",
  );

/** How long anything is waited for: a loaded machine is slow, not broken. */
const patienceMs = 60_000;

/** Waits until something is true. */
export async function holds(check: () => boolean, timeoutMs = patienceMs): Promise<void> {
  await eventually(() => (check() ? true : undefined), { timeoutMs });
}

/** A folder of one test, with a root file system made of busybox. */
export class Playground {
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-shim-test-"));
  readonly #shims: Shim[] = [];

  static async make(): Promise<Playground> {
    const playground = new Playground();
    const busybox = await debianProgram("busybox-static", "/bin/busybox");
    for (const name of [
      "lower/bin",
      "lower/etc",
      "lower/dev",
      "lower/proc",
      "lower/sys",
      "lower/root",
      "lower/tmp",
      "upper",
      "work",
      "root",
    ]) {
      mkdirSync(playground.path(name), { recursive: true });
    }
    copyFileSync(busybox, playground.path("lower/bin/busybox"));
    for (const applet of applets) symlinkSync("busybox", playground.path("lower/bin", applet));
    writeFileSync(
      playground.path("lower/etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nevil:x:4294967296:0::/:/bin/sh\n",
    );
    writeFileSync(
      playground.path("lower/etc/group"),
      "root:x:0:\nusers:x:1000:\nwheel:x:10:root,user\naudio:x:29:user\n",
    );
    return playground;
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Lines of the log file, parsed. */
  log(): { log: string; stream: string; time: string; attrs?: Record<string, string> }[] {
    return readFileSync(this.path("json.log"), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  }

  launch(changes: PlanInit = {}): Shim {
    const shim = new Shim(this, changes);
    this.#shims.push(shim);
    return shim;
  }

  /** Connects a client with this ticket, and launches when its ticket waits in the backlog. */
  async launchAttached(
    changes: PlanInit,
    ticket: Uint8Array,
  ): Promise<{ shim: Shim; stream: Stream }> {
    const listeners = new Listeners(this);
    const stream = new Stream(this.path("io.sock"), ticket);
    await stream.ticketSent;
    const shim = new Shim(this, changes, listeners);
    this.#shims.push(shim);
    return { shim, stream };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const shim of this.#shims) await shim.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The two listening sockets that a shim is given. */
class Listeners {
  readonly control: number;
  readonly io: number;

  constructor(playground: Playground) {
    this.control = kernel.listenUnix(playground.path("shim.sock"), 0o600, 16);
    this.io = kernel.listenUnix(playground.path("io.sock"), 0o600, 16);
  }
}

/** A running shim process. */
export class Shim {
  readonly pid: number;
  readonly pidfd: number;
  readonly messages: ShimMessage[] = [];
  readonly #playground: Playground;
  readonly #ticketCount = { next: 1 };
  #control: Socket;
  #seq = 0n;
  #received = Buffer.alloc(0);
  #wake: (() => void)[] = [];
  #exit: unknown;
  #controlClosed = false;

  constructor(playground: Playground, changes: PlanInit, listeners = new Listeners(playground)) {
    this.#playground = playground;
    const plan = create(LaunchPlanSchema, {
      ...standardPlan((name) => playground.path(name)),
      ...changes,
    });
    if (changes.$unknown !== undefined) plan.$unknown = changes.$unknown;
    const memfd = kernel.memfd("plan", toBinary(LaunchPlanSchema, plan), true);
    const { control, io } = listeners;
    const [ours, theirs] = kernel.socketpair();
    const fds: [number, number][] = [
      [2, 2],
      [3, memfd],
      [4, control],
      [5, io],
      [6, theirs],
    ];
    const launched = kernel.launch({ executable, argv: ["gantry-shim"], env: [], fds });
    for (const fd of [memfd, control, io, theirs]) kernel.closeFd(fd);
    this.pid = launched.pid;
    this.pidfd = launched.pidfd;
    kernel.watchPidfd(launched.pidfd, (exit) => {
      this.#exit = exit;
      this.#notify();
    });
    this.#control = this.#listen(new Socket({ fd: ours }));
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #listen(socket: Socket): Socket {
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      while (this.#received.length >= 4) {
        const length = this.#received.readUInt32LE(0);
        if (this.#received.length < 4 + length) break;
        this.messages.push(fromBinary(ShimMessageSchema, this.#received.subarray(4, 4 + length)));
        this.#received = this.#received.subarray(4 + length);
      }
      this.#notify();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#controlClosed = true;
      this.#notify();
    });
    return socket;
  }

  /** Connects again through shim.sock, as a brain that was restarted. */
  async reconnect(): Promise<void> {
    this.#control.destroy();
    this.#received = Buffer.alloc(0);
    const socket = connect(this.#playground.path("shim.sock"));
    await once(socket, "connect");
    this.#control = this.#listen(socket);
    this.#controlClosed = false;
  }

  dropControl(): void {
    this.#control.destroy();
  }

  async #until<T>(find: () => T | undefined, what: string): Promise<T> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      const over = this.#exit !== undefined && this.#controlClosed;
      if (over || Date.now() > deadline)
        throw new Error(
          `no ${what} in time; got ${this.messages.map((m) => m.message.case).join(", ")}`,
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Waits for a message of a kind, also one that came before. */
  async message<C extends MessageCase>(
    kind: C,
    accept: (value: MessageOf<C>) => boolean = () => true,
  ): Promise<MessageOf<C>> {
    return await this.#until(() => {
      for (const { message } of this.messages) {
        if (message.case === kind && accept(message.value as MessageOf<C>))
          return message.value as MessageOf<C>;
      }
      return undefined;
    }, kind);
  }

  /** Sends a request and waits for its answer. */
  async request(request: RequestInit): Promise<ShimMessage["message"]> {
    const seq = ++this.#seq;
    this.send(request, seq);
    const answer = await this.#until(
      () => this.messages.find((message) => message.replyTo === seq),
      `answer to ${request.case}`,
    );
    return answer.message;
  }

  send(request: RequestInit, seq: bigint): void {
    const bytes = toBinary(ShimRequestSchema, create(ShimRequestSchema, { seq, request }));
    const frame = Buffer.alloc(4 + bytes.length);
    frame.writeUInt32LE(bytes.length);
    frame.set(bytes, 4);
    this.#control.write(frame);
  }

  /** Sends a request and closes the connection without an answer. */
  async leaveAfter(request: RequestInit): Promise<void> {
    this.send(request, ++this.#seq);
    this.#control.destroySoon();
    await this.#until(() => (this.#controlClosed ? true : undefined), "end of the connection");
  }

  sendRaw(bytes: Uint8Array): void {
    this.#control.write(bytes);
  }

  newTicket(): Uint8Array {
    const ticket = new Uint8Array(32).fill(7);
    ticket[0] = this.#ticketCount.next++;
    return ticket;
  }

  /** Connects to io.sock and writes the ticket. */
  stream(ticket: Uint8Array): Stream {
    return new Stream(this.#playground.path("io.sock"), ticket);
  }

  /** Adds a ticket and connects with it. */
  async attach(
    ticket: { stdin?: boolean; framed?: boolean; detachKeys?: Uint8Array; execId?: string } = {},
  ): Promise<Stream> {
    const bytes = this.newTicket();
    await this.request({
      case: "addTicket",
      value: { ticket: bytes, stdout: true, stderr: true, stdin: true, framed: true, ...ticket },
    });
    const attached = (): number =>
      this.messages.filter(({ message }) => message.case === "attached").length;
    const before = attached();
    const stream = this.stream(bytes);
    await this.#until(() => (attached() > before ? true : undefined), "attached");
    return stream;
  }

  /** Runs a command as an exec to its end. */
  async exec(
    args: string[],
    changes: ProcessInit = {},
    input?: string,
  ): Promise<{ code: number; output: string; message: string }> {
    const execId = `e${this.#ticketCount.next}`;
    const ticket = this.newTicket();
    const terminal = changes.terminal === true;
    await this.request({
      case: "exec",
      value: {
        execId,
        process: processOf(args, changes),
        openStdin: input !== undefined,
        startOnAttach: true,
        ticket: {
          ticket,
          stdin: input !== undefined,
          stdout: true,
          stderr: true,
          framed: !terminal,
        },
      },
    });
    const stream = this.stream(ticket);
    if (input !== undefined) stream.socket.end(input);
    const ended = await this.message("execExited", (value) => value.execId === execId);
    await stream.closed;
    return {
      code: ended.exitCode,
      output: terminal ? stream.bytes().toString() : stream.text(),
      message: ended.message,
    };
  }

  async exitOfProcess(): Promise<unknown> {
    return await this.#until(() => this.#exit, "exit of the shim process");
  }

  hasExited(): boolean {
    return this.#exit !== undefined;
  }

  exitRecord(): Record<string, unknown> {
    return JSON.parse(readFileSync(this.#playground.path("exit.json"), "utf8"));
  }

  hasExitRecord(): boolean {
    return existsSync(this.#playground.path("exit.json"));
  }

  /** Kills what still runs. */
  async end(): Promise<void> {
    if (this.#exit === undefined) kernel.pidfdSendSignal(this.pidfd, 9);
    await this.exitOfProcess();
    this.#control.destroy();
    kernel.closeFd(this.pidfd);
  }
}
