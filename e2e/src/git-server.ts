/** A Git repository of the test's own, served on loopback: as git://, or as plain files over http. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { cleanEnvironment, mustRun, type Ran } from "@gantry/testkit";
import { freePort } from "@gantry/testkit/registry";
import { untilPasses } from "@gantry/testkit/until-passes";

/** A repository that is served until it is disposed of. */
export interface GitServer extends AsyncDisposable {
  readonly url: string;
  /** The only commit, of branch main. */
  readonly commit: string;
}

/** Commits everything in `folder` and serves it. */
export async function serveRepository(folder: string): Promise<GitServer> {
  const env = cleanEnvironment({ HOME: folder, GIT_CONFIG_NOSYSTEM: "1" });
  const git = (...args: string[]): Promise<Ran> =>
    mustRun(["git", "-c", "user.name=x", "-c", "user.email=x@x", ...args], { env, cwd: folder });
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", ".");
  await git("commit", "--quiet", "--message=x");
  const commit = (await git("rev-parse", "HEAD")).stdout.trim();
  const port = String(await freePort());
  const base = `--base-path=${path.dirname(folder)}`;
  const daemon = spawn(
    "git",
    ["daemon", "--export-all", "--listen=127.0.0.1", `--port=${port}`, base],
    { stdio: "ignore", env },
  );
  const url = `git://127.0.0.1:${port}/${path.basename(folder)}`;
  const end = async (): Promise<void> => {
    const gone = once(daemon, "exit");
    daemon.kill();
    await gone;
  };
  try {
    await untilPasses(async () => {
      await git("ls-remote", url);
    });
  } catch (error) {
    await end();
    throw error;
  }
  return { url, commit, [Symbol.asyncDispose]: end };
}

/** A server of plain files. */
export interface FileServer extends AsyncDisposable {
  readonly url: string;
}

/** Serves a `.git` folder as `http://…/<name>.git`: by a server that knows nothing of Git. */
export async function servePlainFiles(gitDir: string): Promise<FileServer> {
  await mustRun(["git", "update-server-info"], { cwd: gitDir, env: cleanEnvironment() });
  const served = await serveFiles(gitDir, "/plain.git");
  return { ...served, url: `${served.url}/plain.git` };
}

/** Serves a folder's files over http. @param below path of the folder in URLs */
export async function serveFiles(folder: string, below = ""): Promise<FileServer> {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://localhost");
    readFile(path.join(folder, pathname.slice(below.length))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
