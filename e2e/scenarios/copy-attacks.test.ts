/** Copies never reach outside of the container, nor run its programs. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { useCopyBed } from "../src/copy-bed.ts";
import { ask } from "../src/http.ts";

const bed = useCopyBed();
const { docker, sh, digestOf } = bed;

/** Swaps a folder of a volume with a link to a folder of the host, as fast as a shell can. */
const swapping = (canary: string): string =>
  `mkdir -p /v/real; cd /v; while :; do mkdir x 2>/dev/null; mv -T x y 2>/dev/null; ln -s ${canary} x 2>/dev/null; rm -rf x y; ln -s / x; rm x; done`;

describe("a container that swaps paths while files are copied", () => {
  it("never makes the engine touch the host", async () => {
    const canary = path.join(bed.work, "canary");
    await mkdir(canary);
    await writeFile(path.join(canary, "secret"), "the host's");
    const before = await digestOf(canary);
    const attacker = await docker(
      "run",
      "-d",
      "-v",
      "shared:/v",
      "busybox",
      "sh",
      "-c",
      swapping(canary),
    );
    const victim = await docker(
      "create",
      "-v",
      "shared:/v",
      "-v",
      "inner:/v/x/mounted",
      "busybox",
      "sleep",
      "1000",
    );
    const body = await makeLayer([
      { header: { name: "written" }, content: "by the engine" },
      { header: { name: "d/", type: "directory" } },
      { header: { name: "d/written" }, content: "by the engine" },
    ]);
    const outcomes = new Map<string, number>();
    const count = (what: string): void => {
      outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
    };
    for (let round = 0; round < 25; round++) {
      for (const container of [attacker, victim]) {
        const put = await ask(bed.engine, {
          method: "PUT",
          path: `/containers/${container}/archive?path=/v/x`,
          headers: { "content-type": "application/x-tar" },
          body,
        });
        count(`put ${String(put.status)}`);
        const got = await ask(bed.engine, {
          path: `/containers/${container}/archive?path=/v/x/secret`,
        });
        count(`get ${String(got.status)}`);
        assert.ok(!got.body.includes("the host's"), "a file of the host was read");
        const whole = await ask(bed.engine, {
          method: "HEAD",
          path: `/containers/${container}/archive?path=/v/x`,
        });
        count(`head ${String(whole.status)}`);
      }
    }
    // Starting makes the mount point below the swapped folder, or fails.
    for (let round = 0; round < 5; round++) {
      count(`start ${String((await bed.engine.tryDocker(["start", victim])).code)}`);
      await docker("kill", victim).catch(() => undefined);
    }
    assert.equal(await digestOf(canary), before, "the host's folder has changed");
    assert.ok(
      (outcomes.get("put 200") ?? 0) > 0 && outcomes.size > 4,
      JSON.stringify([...outcomes]),
    );
    await docker("rm", "-f", attacker, victim);
    await docker("volume", "rm", "shared", "inner");
  });
});

describe("an image with programs of its own", () => {
  it("never has them run by the bed.engine, whatever the archive is compressed with", async () => {
    const script = "#!/bin/sh\n(id; env) > /pwned\ncat\n";
    const folders = ["bin", "sbin", "usr", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin"];
    const names = ["xz", "unxz", "gzip", "gunzip", "unpigz", "bzip2", "zstd", "tar", "getent"];
    const layer = await makeLayer([
      ...folders.map((name) => ({
        header: { name: `${name}/`, type: "directory" as const, mode: 0o755 },
      })),
      ...folders
        .filter((name) => name.endsWith("bin"))
        .flatMap((folder) =>
          names.map((name) => ({
            header: { name: `${folder}/${name}`, mode: 0o755 },
            content: script,
          })),
        ),
    ]);
    const image = makeImage({ layers: [layer], config: { Cmd: ["/bin/xz"] } });
    await bed.engine.docker(["load"], {
      input: await makeDockerArchive([{ image, tags: ["evil:1"] }]),
    });
    const id = await docker("create", "-u", "someone", "evil:1");
    await writeFile(path.join(bed.work, "plain"), "plain");
    for (const compress of ["gzip", "bzip2", "xz", "zstd", "cat"]) {
      if ((await sh(`command -v ${compress} || true`)) === "") continue;
      const bytes = await sh(`tar -cf - plain | ${compress} > plain.tar.${compress} && echo done`);
      assert.equal(bytes, "done\n");
      const put = await ask(bed.engine, {
        method: "PUT",
        path: `/containers/${id}/archive?path=/`,
        headers: { "content-type": "application/x-tar" },
        body: await readFile(path.join(bed.work, `plain.tar.${compress}`)),
      });
      assert.equal(put.status, 200, `${compress}: ${put.body}`);
      const got = await ask(bed.engine, { path: `/containers/${id}/archive?path=/plain` });
      assert.ok(got.body.includes("plain"));
    }
    await ask(bed.engine, {
      method: "PUT",
      path: `/containers/${id}/archive?path=/&copyUIDGID=1`,
      headers: { "content-type": "application/x-tar" },
      body: await readFile(path.join(bed.work, "plain.tar.cat")),
    });
    const changes = await docker("diff", id);
    assert.ok(!changes.includes("pwned"), changes);
    assert.equal(existsSync("/pwned"), false);
    await docker("rm", id);
    await docker("rmi", "evil:1");
  });
});
