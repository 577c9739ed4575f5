/** A real NATS server with JetStream on loopback, which a test can take down and bring back. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { debianProgram } from "./debian.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./registry.ts";
import { cleanEnvironment } from "./run.ts";

/** Options of startNats. */
export interface NatsOptions {
  /** Folder for configuration and JetStream's files. */
  readonly dir: string;
  /** Default true. */
  readonly jetstream?: boolean;
}

/** A NATS server, up or down. */
export interface NatsServer extends AsyncDisposable {
  /** With credentials; the same over restarts. */
  readonly url: string;
  readonly pid: () => number;
  /** kill -9. */
  stop(): Promise<void>;
  /** Starts it again, on the same port, with the same files. */
  start(): Promise<void>;
}

/** Starts a server and resolves when it accepts connections. */
export async function startNats(options: NatsOptions): Promise<NatsServer> {
  const program = await debianProgram("nats-server", "/usr/sbin/nats-server");
  const port = await freePort();
  const file = path.join(options.dir, "nats.conf");
  const store = JSON.stringify(path.join(options.dir, "jetstream"));
  await writeFile(
    file,
    `listen: 127.0.0.1:${String(port)}\n` +
      `authorization: {user: test, password: "pass/word"}\n` +
      (options.jetstream === false ? "" : `jetstream: {store_dir: ${store}}\n`),
  );
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(program, ["-c", file], { env: cleanEnvironment(), stdio: "ignore" });
    await once(child, "spawn");
    await eventually(() => accepts(port));
  };
  const stop = async (): Promise<void> => {
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  await start();
  return {
    url: `nats://test:pass%2Fword@127.0.0.1:${String(port)}`,
    pid: () => child?.pid ?? 0,
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}
