/** Places on the network besides containers: a machine outside, and programs inside a container's network namespace. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import type { Ran } from "@gantry/testkit";
import { run } from "@gantry/testkit";

const curlCannotConnect = 7;

/** How long an answer is waited for that is due: a busy machine may take its time. */
const patienceSeconds = 20;
/** The same where none is to come. */
const brieflySeconds = 3;

/** A network namespace, by a process in it. */
export class NetworkPlace {
  readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  /** Runs a program of the host there. */
  async run(...command: readonly string[]): Promise<Ran> {
    return await run(["nsenter", "-n", "-t", String(this.pid), ...command]);
  }

  /** Fetches a page; `refused` when there is nothing to connect to, `timeout` when nobody answers. */
  async fetch(address: string, port: number): Promise<string> {
    return await this.#fetch(address, port, patienceSeconds);
  }

  /** The same where no answer is to come. */
  async fetchInVain(address: string, port: number): Promise<string> {
    return await this.#fetch(address, port, brieflySeconds);
  }

  async #fetch(address: string, port: number, waitSeconds: number): Promise<string> {
    const host = address.includes(":") ? `[${address}]` : address;
    const url = `http://${host}:${String(port)}/`;
    const limit = ["-m", String(waitSeconds)];
    const { code, stdout } = await this.run("curl", "-s", "-g", "--noproxy", "*", ...limit, url);
    if (code === 0) return stdout.trim();
    return code === curlCannotConnect ? "refused" : "timeout";
  }

  /** Sends a datagram and returns what comes back. */
  async askUdp(address: string, port: number): Promise<string> {
    return await this.#askUdp(address, port, patienceSeconds);
  }

  /** The same where no answer is to come. */
  async askUdpInVain(address: string, port: number): Promise<string> {
    return await this.#askUdp(address, port, brieflySeconds);
  }

  async #askUdp(address: string, port: number, waitSeconds: number): Promise<string> {
    const { stdout } = await this.run(
      process.execPath,
      "-e",
      `const socket = require("node:dgram").createSocket("udp4");
       setTimeout(() => { console.log("timeout"); process.exit(); }, ${String(waitSeconds * 1000)});
       socket.on("error", () => { console.log("refused"); process.exit(); });
       socket.on("message", (text) => { console.log(String(text)); process.exit(); });
       socket.connect(${String(port)}, "${address}", (error) => {
         if (error === undefined || error === null) socket.send("ping");
         else { console.log("refused"); process.exit(); }
       });`,
    );
    return stdout.trim();
  }

  /** Answers datagrams with a word until it is closed. */
  async serveUdp(port: number, word: string): Promise<AsyncDisposable> {
    return await this.#answerUdp(port, JSON.stringify(word));
  }

  /** Answers datagrams with the address that they come from, until it is closed. */
  async tellSources(port: number): Promise<AsyncDisposable> {
    return await this.#answerUdp(port, "from.address");
  }

  async #answerUdp(port: number, answer: string): Promise<AsyncDisposable> {
    return await started([
      "nsenter",
      "-n",
      "-t",
      String(this.pid),
      process.execPath,
      "-e",
      `const socket = require("node:dgram").createSocket("udp4");
       socket.on("message", (_, from) => socket.send(${answer}, from.port, from.address));
       socket.bind(${String(port)}, () => console.log("ready"));`,
    ]);
  }
}

/** A program that says when it is ready, ended by disposing. */
async function started(
  command: readonly string[],
): Promise<AsyncDisposable & { readonly pid: number }> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return {
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: () => ended(child),
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** A machine on a network of its own with the host, which it uses as its router. */
export class Outside extends NetworkPlace implements AsyncDisposable {
  /** The host's address there, and its own. */
  readonly host: string;
  readonly address: string;
  readonly #holder: AsyncDisposable;

  private constructor(pid: number, subnet: string, holder: AsyncDisposable) {
    super(pid);
    this.host = `${subnet}.1`;
    this.address = `${subnet}.2`;
    this.#holder = holder;
  }

  static async open(): Promise<Outside> {
    const holder = await started(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 100000"]);
    // Subnet and link are of this process: others test on the same machine.
    const number = process.pid % 250;
    const subnet = `198.18.${String(number)}`;
    const outside = new Outside(holder.pid, subnet, holder);
    const near = `e2e${String(process.pid)}`;
    const ip = (...args: string[]): void => {
      execFileSync("ip", args);
    };
    ip("link", "add", near, "type", "veth", "peer", "name", "out", "netns", String(holder.pid));
    ip("addr", "add", `${outside.host}/30`, "dev", near);
    ip("link", "set", near, "up");
    for (const command of [
      ["addr", "add", `${outside.address}/30`, "dev", "out"],
      ["link", "set", "out", "up"],
      ["link", "set", "lo", "up"],
      ["route", "add", "default", "via", outside.host],
    ]) {
      await outside.run("ip", ...command);
    }
    return outside;
  }

  /** The link goes with the namespace. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder[Symbol.asyncDispose]();
  }
}
