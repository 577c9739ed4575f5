/**
 * The embedded NATS: 127.0.0.1 only, a random port, random credentials. Both stay the same while the
 * run root lives, since shim processes were told the URL once.
 *
 *   <run>/nats.conf   0600, with the credentials
 *   <run>/nats.url    0600, for clients; written when the server accepts connections
 *   <data>/nats/      JetStream's files
 */
import { randomBytes } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { cleanEnvironment, type EngineConfig, readNatsUrl } from "@gantry/config";
import { unavailable } from "@gantry/errors";
import { writeFileAtomic } from "@gantry/fs";
import type { Program } from "./program.ts";

/** Where Debian's package, or our unpacked copy of it, has the server. */
const candidates = [
  "/usr/sbin/nats-server",
  "/usr/local/bin/nats-server",
  "/usr/bin/nats-server",
  "/var/cache/gantry/debian/installed/nats-server/usr/sbin/nats-server",
];

/** Path of the NATS server's program: GANTRY_NATS_SERVER, else the first that exists. */
export function findNatsServer(override: string | undefined): string | undefined {
  return [override, ...candidates].find((file) => file !== undefined && existsSync(file));
}

/** The NATS server as a program under supervision. */
export function natsProgram(config: EngineConfig, file: string): Program {
  const conf = path.join(config.runRoot, "nats.conf");
  const ports = path.join(config.runRoot, "nats-ports");
  const access = earlierAccess(config) ?? {
    user: "gantry",
    password: randomBytes(24).toString("base64url"),
    port: -1,
  };
  let startsWithoutSuccess = 0;
  return {
    name: "nats-server",
    command() {
      // The port of an earlier run may be somebody else's by now: then take any.
      if (startsWithoutSuccess++ > 0) access.port = -1;
      rmSync(ports, { recursive: true, force: true });
      mkdirSync(ports, { recursive: true, mode: 0o700 });
      writeFileSync(conf, configuration(config, access, ports), { mode: 0o600 });
      return [file, "-c", conf];
    },
    // A small heap: this server carries events, not bulk data.
    env: { ...cleanEnvironment(), GOGC: "50", GOMAXPROCS: "2" },
    async probe(signal) {
      const port = readPort(ports);
      await accepts(port, signal);
      startsWithoutSuccess = 0;
      access.port = port;
      await publishUrl(config, access);
    },
    stopTimeoutMs: 5000,
  };
}

interface Access {
  readonly user: string;
  readonly password: string;
  /** -1: any. */
  port: number;
}

/** Credentials and port of the run before, so that clients who know the URL find the server again. */
function earlierAccess(config: EngineConfig): Access | undefined {
  const text = readNatsUrl(config);
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return { user: url.username, password: url.password, port: Number(url.port) };
}

function configuration(config: EngineConfig, access: Access, ports: string): string {
  const store = path.join(config.dataRoot, "nats");
  return [
    "server_name: gantry",
    `listen: "127.0.0.1:${String(access.port)}"`,
    `ports_file_dir: ${JSON.stringify(ports)}`,
    `authorization: {user: ${JSON.stringify(access.user)}, password: ${JSON.stringify(access.password)}}`,
    `jetstream: {store_dir: ${JSON.stringify(store)}, max_memory_store: 1MB, max_file_store: 1GB}`,
    "max_payload: 1MB",
    "lame_duck_duration: 30s",
    "",
  ].join("\n");
}

/** The port that the server listens on, by the file that it writes. */
function readPort(folder: string): number {
  const [file] = globSync(path.join(folder, "*.ports"));
  if (file === undefined) throw unavailable("NATS does not listen yet");
  const parsed = JSON.parse(readFileSync(file, "utf8")) as { nats?: string[] };
  return Number(new URL(parsed.nats?.[0] ?? "").port);
}

async function publishUrl(config: EngineConfig, { user, password, port }: Access): Promise<void> {
  const url = `nats://${user}:${password}@127.0.0.1:${String(port)}\n`;
  if (readNatsUrl(config) === url.trim()) return;
  await writeFileAtomic(path.join(config.runRoot, "nats.url"), url);
}

function accepts(port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port, signal });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
  });
}
