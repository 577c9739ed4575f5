/** The Downloads port: http(s) by Node. */
import { createHash } from "node:crypto";
import { createWriteStream, mkdirSync, rmSync, utimesSync } from "node:fs";
import { rename } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { nowNano } from "@gantry/events";
import { AnswerFailure, BuildFailure, DownloadFailure } from "../../domain/build-failure.ts";
import { isGit } from "../../domain/frontend/dispatch.ts";
import type { ContextTree } from "../../ports/build-inputs.ts";
import type { Archives, Downloads } from "../../ports/downloads.ts";
import type { RunningVertex } from "../../ports/progress.ts";
import { scratchTree } from "../../ports/scratch-tree.ts";
import { fetchRepository } from "./git.ts";

const maxRedirects = 10;
/** Characters of a server's complaint that are shown. */
const maxComplaint = 64 * 1024;
/** A server that says nothing for so long is given up. */
const idleTimeoutMs = 60_000;

export function openDownloads(archives: Archives): Downloads {
  return {
    git: fetchRepository,
    async file({ url, checksum, into }, vertex, signal) {
      const name = path.join(into, "file");
      const { digest, modified } = await download(url, name, vertex, signal);
      if (checksum !== "" && digest !== checksum) {
        throw new BuildFailure(`digest mismatch ${digest}: ${checksum}`);
      }
      if (modified !== undefined) utimesSync(name, modified, modified);
      return scratchTree(into);
    },
    async context(url, { into, agent }, vertex, signal) {
      if (isGit(url) || url.startsWith("github.com/")) {
        const full = url.startsWith("github.com/") ? `https://${url}` : url;
        const none = (): Promise<undefined> => Promise.resolve(undefined);
        return await fetchRepository(
          { url: full, checksum: "", keepGitDir: false, into, secret: none, agent },
          vertex,
          signal,
        );
      }
      if (!/^https?:\/\//.test(url)) {
        throw new BuildFailure(`remoteURL (${url}) could not be recognized as URL`);
      }
      return await archiveContext(archives, url, into, vertex, signal);
    },
  };
}

/** An archive is unpacked; anything else is a Dockerfile alone. */
async function archiveContext(
  archives: Archives,
  url: string,
  into: string,
  vertex: RunningVertex,
  signal: AbortSignal,
): Promise<ContextTree> {
  const file = path.join(into, "download");
  await download(url, file, vertex, signal);
  const root = path.join(into, "context");
  mkdirSync(root, { mode: 0o755 });
  if (archives.isArchive(file)) {
    const { createReadStream } = await import("node:fs");
    await archives.unpack(createReadStream(file), { root, path: "/" }, { uid: 0, gid: 0 }, signal);
    rmSync(file);
  } else await rename(file, path.join(root, "Dockerfile"));
  return scratchTree(root, into);
}

interface Downloaded {
  readonly digest: string;
  readonly modified: Date | undefined;
}

async function download(
  url: string,
  file: string,
  vertex: RunningVertex,
  signal: AbortSignal,
): Promise<Downloaded> {
  const response = await get(url, signal, maxRedirects);
  const hash = createHash("sha256");
  const started = nowNano();
  let current = 0;
  const total = Number(response.headers["content-length"] ?? 0);
  response.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    current += chunk.length;
  });
  await pipeline(response, createWriteStream(file, { flags: "wx", mode: 0o600 }), { signal });
  const times = { startedNano: started, completedNano: nowNano() };
  vertex.status({ id: `transferring ${url}`, name: "transferring", current, total, ...times });
  const modified = new Date(response.headers["last-modified"] ?? Number.NaN);
  return {
    digest: `sha256:${hash.digest("hex")}`,
    modified: Number.isNaN(modified.getTime()) ? new Date(0) : modified,
  };
}

function get(url: string, signal: AbortSignal, redirects: number): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const client = url.startsWith("https:") ? https : http;
    const headers = { "user-agent": "gantry" };
    const request = client.get(url, { signal, headers, timeout: idleTimeoutMs }, (response) => {
      const { statusCode = 0, headers: answered } = response;
      if (statusCode >= 300 && statusCode < 400 && answered.location !== undefined) {
        response.resume();
        if (redirects === 0) reject(new BuildFailure(`too many redirects: ${url}`));
        else resolve(get(redirected(url, answered.location), signal, redirects - 1));
      } else if (statusCode === 200) resolve(response);
      else {
        failureOf(url, response).then(reject, reject);
      }
    });
    request.once("timeout", () => {
      request.destroy(new BuildFailure(`${url}: the server says nothing`));
    });
    request.once("error", (error) => {
      reject(notReached(url, error));
    });
  });
}

/** What the server says is part of the classic builder's message. */
async function failureOf(url: string, response: http.IncomingMessage): Promise<Error> {
  const { statusCode = 0, statusMessage = "" } = response;
  let text = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    if (text.length < maxComplaint) text += chunk;
  }
  const status = `${String(statusCode)} ${statusMessage}`;
  const said = text.slice(0, maxComplaint).trim();
  return new AnswerFailure(statusCode, `failed to GET ${url} with status ${status}: ${said}`);
}

/** In Go's words; what is none of the network's own failures stays as it is. */
function notReached(url: string, error: NodeJS.ErrnoException): Error {
  const { hostname, port, protocol } = new URL(url);
  const { address = hostname } = error as { address?: string };
  const place = `${address.includes(":") ? `[${address}]` : address}:${port || (protocol === "https:" ? "443" : "80")}`;
  const reasons: Readonly<Record<string, string>> = {
    ECONNREFUSED: `dial tcp ${place}: connect: connection refused`,
    ENETUNREACH: `dial tcp ${place}: connect: network is unreachable`,
    EHOSTUNREACH: `dial tcp ${place}: connect: no route to host`,
    ENOTFOUND: `dial tcp: lookup ${hostname}: no such host`,
    EAI_AGAIN: `dial tcp: lookup ${hostname}: no such host`,
    ECONNRESET: "EOF",
  };
  const isPlain = error.code === "EPROTO" && error.message.includes("wrong version number");
  const plain = isPlain ? "http: server gave HTTP response to HTTPS client" : undefined;
  const reason = plain ?? reasons[error.code ?? ""];
  if (reason === undefined) return error;
  return new DownloadFailure(`Get "${url}": ${reason}`, undefined, { cause: error });
}

/** Only http and https, whatever the server says. */
function redirected(from: string, to: string): string {
  const target = new URL(to, from);
  if (target.protocol !== "http:" && target.protocol !== "https:") {
    throw new BuildFailure(`refusing to follow a redirect to ${target.protocol}`);
  }
  return target.href;
}
