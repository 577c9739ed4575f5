/** A real registry (Debian's docker-registry) on loopback, in a process and a folder of its own. */

import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { debianProgram } from "./debian.ts";
import { cleanEnvironment } from "./run.ts";

/** Options of {@link startRegistry}. */
export interface RegistryOptions {
  /** Folder for blobs, configuration and log; several registries may share one (one writer at a time). */
  readonly dir: string;
  /** Port on 127.0.0.1; default a free one. */
  readonly port?: number;
  /** htpasswd file for basic auth. */
  readonly htpasswd?: string;
  /** Certificate and key for TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Realm, service, issuer and certificate bundle of a token server. */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly rootCertBundle: string;
  };
  /** Name of a network namespace (`ip netns`) to run in. */
  readonly netns?: string;
}

/** A running registry. */
export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  readonly pid: number;
}

/** Starts a registry and resolves when it accepts connections. */
export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  const program = await debianProgram("docker-registry", "/usr/bin/docker-registry");
  const port = options.port ?? (await freePort());
  const host = `127.0.0.1:${String(port)}`;
  await mkdir(options.dir, { recursive: true });
  const config = path.join(options.dir, `config-${String(port)}.yml`);
  await writeFile(config, configuration(options, host));
  const command = options.netns === undefined ? [] : ["ip", "netns", "exec", options.netns];
  const [file, ...args] = [...command, program, "serve", config];
  const child = spawn(file ?? program, args, {
    env: cleanEnvironment(),
    stdio: ["ignore", "ignore", "pipe"],
  });
  await listening(child);
  return {
    host,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "close");
    },
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function configuration(options: RegistryOptions, host: string): string {
  const lines = [
    "version: 0.1",
    "log: {level: info}",
    "storage:",
    `  filesystem: {rootdirectory: ${JSON.stringify(path.join(options.dir, "data"))}}`,
    "  delete: {enabled: true}",
    "http:",
    `  addr: ${host}`,
    "  secret: not-a-secret-in-tests",
  ];
  if (options.tls !== undefined)
    lines.push(`  tls: {certificate: ${options.tls.certificate}, key: ${options.tls.key}}`);
  if (options.htpasswd !== undefined)
    lines.push(`auth: {htpasswd: {realm: gantry-test, path: ${options.htpasswd}}}`);
  if (options.token !== undefined) {
    const { realm, service, issuer, rootCertBundle } = options.token;
    lines.push(
      "auth:",
      "  token:",
      `    realm: ${realm}`,
      `    service: ${service}`,
      `    issuer: ${issuer}`,
      `    rootcertbundle: ${rootCertBundle}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

async function listening(child: ChildProcess): Promise<void> {
  const printed: string[] = [];
  const stderr = child.stderr;
  if (stderr === null) throw new Error("registry without standard error");
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      reject(new Error(`registry exited with ${String(code)}\n${printed.join("")}`));
    });
    stderr.on("data", (chunk: Buffer) => {
      if (printed.length < 100) printed.push(chunk.toString());
      if (printed.join("").includes("listening on")) resolve();
    });
  });
}
