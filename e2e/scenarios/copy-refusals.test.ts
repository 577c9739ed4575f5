/** Copies that cannot be, in Docker's words, and archives that want to be somewhere else. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeLayer } from "@gantry/testkit/image-maker";
import { untilPasses } from "@gantry/testkit/until-passes";
import { useCopyBed } from "../src/copy-bed.ts";
import { ask, messageOf } from "../src/http.ts";

const bed = useCopyBed();
const { docker, sh } = bed;

describe("bad copies", () => {
  it("through a link of the archive that leads out end inside of the container", async () => {
    const id = await docker("run", "-d", "busybox", "sleep", "1000");
    const name = `escaped-${path.basename(bed.engine.root)}`;
    await sh(
      `mkdir -p out/real && echo mine > out/real/${name} && ln -s ../../../../../../tmp out/climbing && ` +
        `tar -C out -cf out.tar climbing && tar -C out --transform s/real/climbing/ -rf out.tar real/${name}`,
    );
    const answer = await ask(bed.engine, {
      method: "PUT",
      path: `/v1.47/containers/${id}/archive?path=/home`,
      headers: { "content-type": "application/x-tar" },
      body: await readFile(path.join(bed.work, "out.tar")),
    });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(await docker("exec", id, "cat", `/tmp/${name}`), "mine");
    assert.equal(existsSync(`/tmp/${name}`), false);
    await docker("rm", "-f", id);
  });

  it("tells of an entry in whose place something is mounted", async () => {
    const id = await docker("run", "-d", "busybox", "sleep", "1000");
    await sh(
      "mkdir -p busy/etc && echo mine > busy/etc/hosts && tar -C busy -cf busy.tar etc/hosts",
    );
    const answer = await ask(bed.engine, {
      method: "PUT",
      path: `/v1.47/containers/${id}/archive?path=/`,
      headers: { "content-type": "application/x-tar" },
      body: await readFile(path.join(bed.work, "busy.tar")),
    });
    assert.deepEqual(
      [answer.status, messageOf(answer)],
      [500, "RemoveAll etc/hosts: device or resource busy"],
    );
    await docker("rm", "-f", id);
  });

  let id: string;
  before(async () => {
    id = await docker(
      "run",
      "-d",
      "--read-only",
      "-v",
      "readonly:/ro:ro",
      "-v",
      "writable:/rw",
      "busybox",
      "sleep",
      "1000",
    );
    await writeFile(path.join(bed.work, "bad"), "bad");
  });
  after(async () => {
    await docker("rm", "-f", id);
    await docker("volume", "rm", "readonly", "writable");
  });
  const cases: readonly [string, () => string[], RegExp][] = [
    [
      "out of a missing path",
      () => ["cp", `${id}:/missing`, bed.work],
      /Could not find the file \/missing in container [0-9a-f]{64}/,
    ],
    [
      "into a missing folder",
      () => ["cp", `${bed.work}/bad`, `${id}:/missing/x`],
      /Could not find the file \/missing in container [0-9a-f]{64}/,
    ],
    [
      "into a read-only root",
      () => ["cp", `${bed.work}/bad`, `${id}:/tmp/x`],
      /Error response from daemon: container rootfs is marked read-only/,
    ],
    [
      "into a read-only volume",
      () => ["cp", `${bed.work}/bad`, `${id}:/ro/x`],
      /Error response from daemon: mounted volume is marked read-only/,
    ],
    [
      "of a missing container",
      () => ["cp", `${bed.work}/bad`, "nobody:/x"],
      /No such container: nobody/,
    ],
  ];
  for (const [what, args, text] of cases) {
    it(`${what} are refused`, async () => {
      const refused = await bed.engine.tryDocker(args());
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, text);
    });
  }
  it("of links without end are told by whether the path ends with one", async () => {
    const links = "mkdir /l; ln -s two /l/one; ln -s one /l/two";
    const made = await docker("run", "-d", "busybox", "sh", "-c", `${links}; exec sleep 1000`);
    await untilPasses(async () => {
      await docker("exec", made, "readlink", "/l/two");
    });
    const refused = async (path: string): Promise<string> => {
      const { stderr } = await bed.engine.tryDocker(["cp", `${made}:${path}`, "-"]);
      return stderr.trim().replace("Error response from daemon: ", "");
    };
    assert.equal(await refused("/l/one"), "evalSymlinksInScope: too many links in /l/one");
    assert.equal(await refused("/x/../l/one"), "evalSymlinksInScope: too many links in /l/one");
    for (const path of ["/l/one/", "/l/one/x"])
      assert.equal(await refused(path), `lstat ${path}: too many levels of symbolic links`);
    await docker("rm", "-f", made);
  });

  it("take .. and . out of a path by its letters alone, but for what its end says", async () => {
    const made = await docker("run", "-d", "busybox", "sleep", "1000");
    const script = "mkdir -p /d /e/deep; echo d > /d/a; echo ea > /e/a; ln -s /e/deep /d/far";
    await docker("exec", made, "sh", "-c", script);
    const archive = (method: "GET" | "PUT" | "HEAD", at: string, body?: Uint8Array) =>
      ask(bed.engine, {
        method,
        path: `/v1.51/containers/${made}/archive?path=${at}`,
        headers: { "content-type": "application/x-tar" },
        ...(body === undefined ? {} : { body }),
      });
    const out = async (at: string): Promise<string> =>
      bed.engine.docker(["cp", `${made}:${at}`, "-"]);
    assert.match(await out("/d/far/../a"), /\0d\n\0/);
    assert.match(await out("/x/../e/a/../a"), /\0ea\n\0/);
    const layer = await makeLayer([{ header: { name: "put" }, content: "text" }]);
    for (const [at, status, text] of [
      ["/x/../d", 200, ""],
      ["/d/a/../far/..", 200, ""],
      ["/x/../d/a", 400, "extraction point is not a directory"],
      ["/x/../nope", 404, `Could not find the file /x/../nope in container ${made}`],
      ["/d/a/.", 500, "lstat /d/a/.: not a directory"],
      ["/x/../d/a/", 500, "lstat /d/a/: not a directory"],
    ] as const) {
      const answer = await archive("PUT", at, layer);
      assert.deepEqual(
        [answer.status, status === 200 ? "" : messageOf(answer)],
        [status, text],
        at,
      );
    }
    assert.equal(await docker("exec", made, "find", "/", "-name", "put"), "/d/put");
    assert.equal((await archive("HEAD", "/x/../d")).status, 404);
    await docker("rm", "-f", made);
  });

  it("answer archives that reach outside with an error, and write nothing there", async () => {
    for (const name of ["../../escaped", "a/../../escaped"]) {
      const body = await makeLayer([{ header: { name }, content: "escaped" }]);
      const answer = await ask(bed.engine, {
        method: "PUT",
        path: `/containers/${id}/archive?path=/rw`,
        headers: { "content-type": "application/x-tar" },
        body,
      });
      assert.equal(answer.status, 500, answer.body);
      assert.equal(messageOf(answer), `invalid entry name "${name}"`);
    }
    assert.equal(existsSync(path.join(bed.engine.dataRoot, "escaped")), false);
    const files = await docker("exec", id, "find", "/", "-xdev", "-name", "escaped");
    assert.equal(files, "");
  });
  it("pass over entries that are the folder itself, whatever they say that it is", async () => {
    const body = await makeLayer([
      { header: { name: "." }, content: "no file can be here" },
      { header: { name: "beside" }, content: "beside" },
    ]);
    const answer = await ask(bed.engine, {
      method: "PUT",
      path: `/containers/${id}/archive?path=/rw`,
      headers: { "content-type": "application/x-tar" },
      body,
    });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(await docker("exec", id, "cat", "/rw/beside"), "beside");
  });
  it("don't put a directory in a file's place, or the other way round, when that is asked", async () => {
    await docker("exec", id, "sh", "-c", "mkdir /rw/folder; : > /rw/file");
    const put = async (header: { name: string; type?: "directory" }) =>
      await ask(bed.engine, {
        method: "PUT",
        path: `/containers/${id}/archive?path=/rw&noOverwriteDirNonDir=1`,
        headers: { "content-type": "application/x-tar" },
        body: await makeLayer([header.type === undefined ? { header, content: "x" } : { header }]),
      });
    const overFolder = await put({ name: "folder" });
    assert.match(
      messageOf(overFolder),
      /^cannot overwrite directory "folder" with non-directory "\/rw"$/,
    );
    const overFile = await put({ name: "file/", type: "directory" });
    assert.match(
      messageOf(overFile),
      /^cannot overwrite non-directory "file" with directory "\/rw"$/,
    );
  });
  it("tell a path's facts in a header", async () => {
    const answer = await ask(bed.engine, {
      method: "HEAD",
      path: `/containers/${id}/archive?path=/tmp`,
    });
    const header = String(answer.headers["x-docker-container-path-stat"]);
    const facts = JSON.parse(Buffer.from(header, "base64").toString()) as Record<string, unknown>;
    assert.deepEqual(
      { ...facts, mtime: "", size: 0 },
      { name: "tmp", size: 0, mode: 2 ** 31 + 2 ** 20 + 0o777, mtime: "", linkTarget: "" },
    );
    const missing = await ask(bed.engine, {
      method: "HEAD",
      path: `/containers/${id}/archive?path=/nope`,
    });
    assert.equal(missing.status, 404);
  });
});
