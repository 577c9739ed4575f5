/** What Docker's classic builder does otherwise than BuildKit: owners, modes, links, heredocs, downloads, times. */
import assert from "node:assert/strict";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Ran } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
let folder: string;

before(async () => {
  engine = await TestEngine.start();
  folder = path.join(engine.root, "context");
  await mkdir(path.join(folder, "wild"), { recursive: true });
  await writeFile(path.join(folder, "suid"), "#!/bin/sh\n");
  await chmod(path.join(folder, "suid"), 0o6755);
  await writeFile(path.join(folder, "wild/w-file"), "a\n");
  for (const name of ["kinds/sub", "kinds/link"]) {
    await mkdir(path.join(folder, name), { recursive: true });
    await writeFile(path.join(folder, name, "in"), "a\n");
  }
  await writeFile(path.join(folder, "kinds/w-file"), "a\n");
  await symlink("nowhere", path.join(folder, "wild/w-broken"));
  await chmod(path.join(folder, "wild"), 0o2777);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

async function build(dockerfile: string, args: readonly string[] = []): Promise<Ran> {
  await writeFile(path.join(folder, "Dockerfile"), dockerfile);
  const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
  return await engine.tryDocker(["build", ...args, folder], { env });
}

async function built(dockerfile: string, args: readonly string[] = []): Promise<string> {
  const ran = await build(dockerfile, args);
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stdout;
}

describe("the classic builder", () => {
  it("replaces files by folders, links by folders, and folders by files", async () => {
    const shown = await built(
      "FROM busybox\nRUN mkdir -p /x/w-file/in /y /z/suid/in && echo old > /x/sub && ln -s /y /x/link\n" +
        "COPY kinds /x/\nCOPY suid /z/\nRUN find /x /y /z | sort && stat -c %F /x/* /z/*\n",
    );
    const facts = ["directory", "directory", "regular file", "regular file"];
    const names = ["/x", "/x/link", "/x/link/in", "/x/sub", "/x/sub/in", "/x/w-file", "/y", "/z"];
    assert.match(shown, new RegExp(`^${[...names, "/z/suid", ...facts].join("\n")}$`, "m"));
  });
  it("counts what its sources mean, and knows no arguments of platforms", async () => {
    const shown = await built(
      "FROM busybox\nARG TARGETARCH\nARG MODE\nCOPY --chmod=$MODE suid none* /one\nCOPY [s]uid /two\n" +
        'RUN ls /one /two && echo "for $TARGETARCH."\n',
    );
    assert.match(shown, /^\/one\n\/two\nfor \.$/m);
  });

  it("takes set-user-ID bits with the owner, and gives folders that it makes the mode of any parent", async () => {
    const made =
      "mkdir -p /s/d && touch /s/f /s/h && chown -R 12:34 /s && chmod 6755 /s/f && chmod 2644 /s/h && chmod 2775 /s/d /s";
    const list = "stat -c '%a %u:%g %n'";
    const shown = await built(
      `FROM busybox AS a\nRUN ${made}\nFROM busybox\n` +
        "COPY suid /c\nADD suid /d\nCOPY --from=a /s /kept\nCOPY --from=a --chown=5:6 /s /changed\n" +
        "COPY --from=a /s/f /f\nCOPY wild /w\n" +
        `RUN ${list} /c /d /kept /kept/* /changed /changed/* /f /w\n`,
    );
    const told = [...shown.matchAll(/^(\d+ \d+:\d+) (\/\S+)$/gm)].map(
      ([, facts = "", name = ""]) => `${name} ${facts}`,
    );
    assert.deepEqual(told, [
      ...["/c 755 0:0", "/d 755 0:0"],
      ...["/kept 755 0:0", "/kept/d 2775 12:34", "/kept/f 6755 12:34", "/kept/h 2644 12:34"],
      ...["/changed 755 5:6", "/changed/d 2775 5:6", "/changed/f 755 5:6", "/changed/h 2644 5:6"],
      ...["/f 6755 12:34", "/w 755 0:0"],
    ]);
  });

  it("wants that what a pattern matches leads somewhere", async () => {
    const ran = await build("FROM busybox\nCOPY wild/w-* /x/\n");
    assert.equal(ran.code, 1);
    assert.equal(
      ran.stderr.trimEnd().split("\n").at(-1),
      "COPY failed: file not found in build context or excluded by .dockerignore: stat wild/w-broken: file does not exist",
    );
    const other = await build(
      "FROM busybox AS a\nRUN ln -s nowhere /w-b\nFROM busybox\nCOPY --from=a /w-* /x/\n",
    );
    assert.match(other.stderr, /^COPY failed: stat w-b: file does not exist$/m);
  });

  it("passes heredocs over", async () => {
    for (const kind of ["COPY", "ADD"]) {
      const ran = await build(`FROM busybox\n${kind} <<A /x\nhi\nA\n`);
      assert.equal(ran.code, 1);
      assert.equal(
        ran.stderr.trimEnd().split("\n").at(-1),
        `${kind} failed: no source files were specified`,
      );
    }
    const shown = await built(
      "FROM busybox\nCOPY <<A suid /x/\nhi\nA\nRUN ls /x\nRUN <<A cat\nunseen\nA\n",
      ["-t", "heredocs"],
    );
    assert.match(shown, /Running in \w+\nsuid\n/);
    assert.doesNotMatch(shown, /unseen|^A$/m);
    const format = ["--no-trunc", "--format", "{{.CreatedBy}}"];
    const [last] = (await engine.docker(["history", ...format, "heredocs"])).split("\n");
    assert.equal(last, "/bin/sh -c <<A cat");
  });

  it("tells of what it downloads, and what a server says that has it not", async () => {
    const server = http.createServer((request, response) => {
      if (request.url === "/none") {
        response.statusCode = 404;
        response.end("<p>nothing here</p>\n");
        return;
      }
      response.setHeader("content-length", 10);
      response.end("hello url\n");
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    try {
      const { port } = server.address() as AddressInfo;
      const shown = await built(`FROM busybox\nADD http://127.0.0.1:${String(port)}/f /u\n`);
      assert.match(shown, /^Step 2\/2 : ADD http:\S+ \/u\n\n ---> /m);
      const url = `http://127.0.0.1:${String(port)}/none`;
      const ran = await build(`FROM busybox\nADD ${url} /u\n`);
      assert.equal(
        ran.stderr.trimEnd().split("\n").at(-1),
        `ADD failed: failed to GET ${url} with status 404 Not Found: <p>nothing here</p>`,
      );
    } finally {
      server.close();
    }
  });

  it("dates a step without files by when it was first done, also from the cache", async () => {
    const dockerfile = "FROM busybox\nENV A=1\nRUN true\nENV B=2\n";
    const began = Date.now();
    await built(dockerfile, ["-t", "dated"]);
    const facts = async (): Promise<string> =>
      await engine.docker(["image", "inspect", "--format", "{{.Id}} {{.Created}}", "dated"]);
    const first = await facts();
    const created = Date.parse(first.split(" ")[1] ?? "");
    assert.ok(created >= began && created <= Date.now(), first);
    const times = (
      await engine.docker(["history", "--human=false", "--format", "{{.CreatedAt}}", "dated"])
    )
      .split("\n")
      .map((time) => Date.parse(time));
    const [b = 0, run = 0, a = 0] = times;
    assert.ok(b >= run && run >= a && a >= Math.floor(began / 1000) * 1000, times.join(" "));
    await built(dockerfile, ["-t", "dated"]);
    assert.equal(await facts(), first);
    await built(dockerfile, ["-t", "dated", "--no-cache"]);
    assert.notEqual(await facts(), first);
  });
});
