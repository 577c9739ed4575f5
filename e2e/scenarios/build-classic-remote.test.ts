/** Contexts that the classic builder fetches itself, from a server of plain files. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { cp, readFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { cleanEnvironment, mustRun } from "@gantry/testkit";
import { ClassicBuilds, tarOf } from "../src/classic-build.ts";
import { messageOf } from "../src/http.ts";

const statuses: Readonly<Record<string, number>> = { "/no": 403, "/bad": 400, "/broken": 500 };

let builds: ClassicBuilds;
let base: string;
const cleanUp = new AsyncDisposableStack();

before(async () => {
  builds = cleanUp.use(await ClassicBuilds.start());
  const files = await serveFiles(path.join(builds.scratch, "served"));
  base = files.base;
  cleanUp.defer(files.end);
});
after(async () => {
  await cleanUp.disposeAsync();
});

/** A bare repository and an archive, and some refusals. */
async function serveFiles(root: string): Promise<{ base: string; end: () => Promise<void> }> {
  const work = await builds.context({
    Dockerfile: "FROM busybox\nLABEL from=top\n",
    "sub/Dockerfile": "FROM busybox\nLABEL from=sub\n",
  });
  const archive = await tarOf(work);
  const env = cleanEnvironment({ HOME: work, GIT_CONFIG_NOSYSTEM: "1" });
  const git = async (...args: string[]): Promise<void> => {
    const who = ["-c", "user.name=x", "-c", "user.email=x@x"];
    await mustRun(["git", ...who, ...args], { env, cwd: work });
  };
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", ".");
  await git("commit", "--quiet", "--message=x");
  await git("update-server-info");
  await cp(path.join(work, ".git"), path.join(root, "r.git"), { recursive: true });
  const server = http.createServer((request, response) => {
    const name = new URL(request.url ?? "/", "http://files").pathname;
    if (name === "/context.tar") response.end(archive);
    else if (name in statuses) response.writeHead(statuses[name] ?? 0).end(" not you \n");
    else {
      readFile(path.join(root, name)).then(
        (bytes) => response.end(bytes),
        () => response.writeHead(404).end("none"),
      );
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    base: `http://127.0.0.1:${String(port)}`,
    end: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const post = (remote: string) =>
  builds.post(`t=fetched&remote=${encodeURIComponent(remote)}`, new Uint8Array());

describe("a context from elsewhere", () => {
  for (const [name, from] of [
    ["context.tar", "top"],
    ["r.git#main", "top"],
    ["r.git#main:sub", "sub"],
  ] as const) {
    it(`is fetched from a server of plain files: ${name}`, async () => {
      const answer = await post(`${base}/${name}`);
      assert.equal(answer.status, 200, answer.body);
      assert.match(answer.body, /Successfully tagged fetched:latest/);
      const label = ["inspect", "fetched", "--format", '{{index .Config.Labels "from"}}'];
      assert.equal(await builds.engine.docker(label), from);
    });
  }

  it("that is not to be had is refused with the server's words, or git's", async () => {
    const refused = (name: string, status: string): string =>
      `error downloading remote context ${base}/${name}: failed to GET ${base}/${name} with status ${status}`;
    const closed = "http://127.0.0.1:1/context.tar";
    const cases = [
      [`${base}/none.tar`, 404, refused("none.tar", "404 Not Found: none")],
      [`${base}/no`, 403, refused("no", "403 Forbidden: not you")],
      [`${base}/bad`, 400, refused("bad", "400 Bad Request: not you")],
      [`${base}/broken`, 500, refused("broken", "500 Internal Server Error: not you")],
      [
        closed,
        500,
        `error downloading remote context ${closed}: Get "${closed}": dial tcp 127.0.0.1:1: connect: connection refused`,
      ],
      [
        `${base}/none.git`,
        500,
        `error fetching: fatal: repository '${base}/none.git/' not found\n: exit status 128`,
      ],
      [
        `${base}/r.git#nope`,
        500,
        "error fetching: fatal: couldn't find remote ref nope\n: exit status 128",
      ],
    ] as const;
    for (const [remote, status, message] of cases) {
      const answer = await post(remote);
      assert.deepEqual([answer.status, messageOf(answer)], [status, message]);
    }
  });
});
