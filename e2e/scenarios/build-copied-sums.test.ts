/**
 * What only the classic builder does, compared with dockerd 28.5's own words for the same files: sums of what was
 * copied in the history, volumes of steps, folders of root, health checks that inherit.
 */
import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
let folder: string;

before(async () => {
  engine = await TestEngine.start();
  folder = await mkdtemp(path.join(engine.root, "sums-"));
  await mkdir(path.join(folder, "d"), { mode: 0o755 });
  await writeFile(path.join(folder, "f"), "hello\n");
  await writeFile(path.join(folder, "d/a"), "x\n");
  await writeFile(path.join(folder, "d/b"), "y\n");
  for (const file of ["f", "d/a", "d/b"]) await chmod(path.join(folder, file), 0o644);
  await chmod(path.join(folder, "d"), 0o755);
  await symlink("d", path.join(folder, "sd"));
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

async function build(text: string): Promise<string> {
  await writeFile(path.join(folder, "Dockerfile"), text);
  const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
  return await engine.docker(["build", "-t", "sums", folder], { env });
}

/** Newest first, without the base's. */
async function history(): Promise<string[]> {
  const format = ["--no-trunc", "--format", "{{.CreatedBy}}"];
  return (await engine.docker(["history", ...format, "sums"])).split("\n").slice(0, -1);
}

describe("the classic builder's history", () => {
  it("has sums of files, folders, and several of them, also from the cache", async () => {
    for (const _time of ["made", "cached"]) {
      await build(`FROM busybox
COPY f /w/
COPY --chown=1:1 f .
ADD sd /sd
COPY f d /multi/
SHELL ["/bin/sh","-xc"]
COPY d/* ./
WORKDIR /
`);
      assert.deepEqual(await history(), [
        "/bin/sh -xc #(nop) WORKDIR /",
        "/bin/sh -xc #(nop) COPY multi:19715913c9cc2167b9e9abcdbcb0f2c2ee8cb0f6100f3a1132f375ac40ddd412 in ./ ",
        "/bin/sh -xc #(nop)  SHELL [/bin/sh -xc]",
        "/bin/sh -c #(nop) COPY multi:31544dc8b34b7827a95b79089694c8ade2c5a2136b18ddda138384915bf5dac6 in /multi/ ",
        "/bin/sh -c #(nop) ADD dir:8a9bd6fbf537192678a1e440a5344fc3274f05f650bb576c351166661bfa9909 in /sd ",
        "/bin/sh -c #(nop) COPY --chown=1:1 file:7d70391f0d5adb51fc26141f58002b62862a2d7bfeec1389438ea684d00e6046 in . ",
        "/bin/sh -c #(nop) COPY file:7d70391f0d5adb51fc26141f58002b62862a2d7bfeec1389438ea684d00e6046 in /w/ ",
      ]);
    }
  });

  it("has sums of what another stage has, by the names and owners there", async () => {
    await build(`FROM busybox
COPY f /w/f
COPY d /d/
RUN echo one > /w/one
FROM busybox
COPY --from=0 /w/f /z
COPY --from=0 /w/f /w/one /zz/
COPY --from=0 /d /zzz
`);
    assert.deepEqual(await history(), [
      "/bin/sh -c #(nop) COPY dir:8a9bd6fbf537192678a1e440a5344fc3274f05f650bb576c351166661bfa9909 in /zzz ",
      "/bin/sh -c #(nop) COPY multi:d588c3ff5e6d4712582799fe210d9a8ebb48bd843d3353adf51e832d9a02d5c1 in /zz/ ",
      "/bin/sh -c #(nop) COPY file:175c95fd07e753513f32ca19b5ca73f031c8766be9c5b71b83f126a40d64a506 in /z ",
    ]);
  });
});

describe("steps of the classic builder", () => {
  it("have the volumes of their image, of which nothing stays but the folder", async () => {
    const shown = await build(`FROM busybox
RUN mkdir -p /old && echo old > /old/f
VOLUME /v /old
RUN echo x > /v/x && cat /old/f && rm /old/f
RUN ls /v /old
`);
    assert.match(shown, /\n\/old:\nf\n\n\/v:\n ---> /);
    assert.equal(await engine.docker(["volume", "ls", "-q"]), "");
  });

  it("make folders for root, whoever the user is", async () => {
    await build("FROM busybox\nUSER 3\nWORKDIR /a/b\n");
    const stat = ["run", "--rm", "sums", "stat", "-c", "%u:%g", "/a", "/a/b"];
    assert.equal(await engine.docker(stat), "0:0\n0:0");
  });

  it("tell of a health check that they override, and take over what is not said anew", async () => {
    const shown = await build(`FROM busybox
HEALTHCHECK --interval=3s --retries=2 CMD true
HEALTHCHECK --timeout=1s CMD false
HEALTHCHECK NONE
`);
    const notes = shown.match(/Note: .*/g);
    assert.deepEqual(notes, [
      "Note: overriding previous HEALTHCHECK: [CMD-SHELL true]",
      "Note: overriding previous HEALTHCHECK: [CMD-SHELL false]",
    ]);
    const format = "{{json .Config.Healthcheck}}";
    assert.equal(
      await engine.docker(["inspect", "--format", format, "sums"]),
      '{"Test":["NONE"],"Interval":3000000000,"Timeout":1000000000,"Retries":2}',
    );
  });
});
