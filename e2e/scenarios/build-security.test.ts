/** Dockerfiles, contexts and repositories that mean harm: faults that builders had, tried here with buildx 0.13. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { beforeEach, describe, it } from "node:test";
import { mustRun, type Ran, run } from "@gantry/testkit";
import { useBuildxBed } from "../src/buildx-bed.ts";
import { serveRepository } from "../src/git-server.ts";

const word = "of-the-host-0815";

const bed = useBuildxBed({
  prepare: async (engine) => {
    victim = path.join(engine.root, "victim");
    await mkdir(path.join(victim, "empty"), { recursive: true });
    await writeFile(path.join(victim, "word"), word);
    await writeFile(path.join(victim, "blank"), "");
  },
});
/** A folder of the host that no build may read or change. */
let victim: string;

let folder: string;
let count = 0;
beforeEach(async () => {
  count += 1;
  folder = path.join(bed.engine.root, "contexts", String(count));
  await mkdir(folder, { recursive: true });
});

/** Builds; the host's folder is as it was, whatever comes out. */
async function build(dockerfile: string, args: readonly string[] = []): Promise<Ran> {
  await writeFile(path.join(folder, "Dockerfile"), dockerfile);
  const ran = await bed.tryBuild(folder, ["-t", "evil", ...args]);
  await assertUntouched();
  return ran;
}

async function assertUntouched(): Promise<void> {
  assert.deepEqual((await readdir(victim)).sort(), ["blank", "empty", "word"]);
  assert.deepEqual(await readdir(path.join(victim, "empty")), []);
  assert.equal(await readFile(path.join(victim, "word"), "utf8"), word);
}

const shown = ({ stdout, stderr }: Ran): string => stdout + stderr;

describe("mounts of a step", () => {
  it("whose point the step makes a link leave nothing to clean up on the host", async () => {
    const ran = await build(
      "FROM busybox\n" +
        "RUN --mount=type=tmpfs,target=/a/empty --mount=type=tmpfs,target=/a/blank " +
        `mv /a /c && ln -s ${victim} /a\n`,
    );
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(await bed.engine.docker(["run", "--rm", "evil", "ls", "-l", "/a"]), /-> .*victim/);
  });

  it("whose target climbs out stay in the container", async () => {
    const up = "../".repeat(20);
    const ran = await build(
      `FROM busybox\nRUN ln -s ${victim} /link\n` +
        `RUN --mount=type=tmpfs,target=/${up}${victim}/empty touch ${victim}/empty/made\n` +
        "RUN --mount=type=tmpfs,target=/link/empty touch /link/empty/made; true\n",
    );
    assert.equal(ran.code, 0, ran.stderr);
  });

  for (const from of ["a stage", "the context"]) {
    it(`whose source is a link in ${from} get nothing of the host`, async () => {
      await symlink(victim, path.join(folder, "link"));
      const stage = `FROM busybox AS made\nRUN ln -s ${victim} /link\nFROM busybox\n`;
      const head = from === "a stage" ? stage : "FROM busybox\n";
      const option = from === "a stage" ? "from=made," : "";
      for (const source of ["/link", "/link/word", `${"../".repeat(20)}${victim}`]) {
        for (const write of ["", ",rw"]) {
          const mount = `type=bind,${option}source=${source},target=/m${write}`;
          const ran = await build(
            `${head}RUN --mount=${mount} echo got: && cat /m /m/word; echo x > /m/new; rm -f /m/word; true\n`,
          );
          assert.ok(!shown(ran).includes(word), `${mount}: ${shown(ran)}`);
          assert.notEqual(ran.code, 0, `${mount} was found`);
          assert.match(ran.stderr, /not found/);
        }
      }
    });
  }

  it("in a cache that a parallel step swaps for links reach no file of the host", async () => {
    const swap = `rm -rf /c/sub; ln -s ${victim} /c/sub; rm -rf /c/sub; mkdir -p /c/sub/empty`;
    // A victim whose mount point is gone at the moment is refused, which ends the build.
    const refused = /error mounting "tmpfs" to rootfs at "\/c\/sub\/empty"/;
    for (const round of ["one", "two", "three", "four"]) {
      const cache = `RUN --mount=type=cache,id=${round},target=/c `;
      const victims = Array.from(
        { length: 24 },
        (_, index) =>
          `${cache} --mount=type=tmpfs,target=/c/sub/empty ` +
          `touch /c/sub/empty/${String(index)} || true\n`,
      );
      // The attack lasts until the last victim is through; the count is its end when none gets there.
      const attack = `touch /c/begun; i=0; while [ $i -lt 3000 ] && [ ! -e /c/through ]; do ${swap}; i=$((i+1)); done`;
      const begun =
        "i=0; until [ -e /c/begun ]; do [ $i -lt 600 ] || exit 1; sleep 0.1; i=$((i+1)); done";
      const attacked = await build(
        `FROM busybox AS swapper\n${cache} ${attack}\n` +
          `FROM busybox AS stepper\n${cache} ${begun}\n${victims.join("")}${cache} touch /c/through\n` +
          "FROM busybox\nCOPY --from=swapper /etc/passwd /1\nCOPY --from=stepper /etc/passwd /2\n",
      );
      if (attacked.code !== 0) assert.match(attacked.stderr, refused);
    }
  });

  it("that seed a cache from a link bring nothing of the host into it", async () => {
    const ran = await build(
      `FROM busybox AS made\nRUN mkdir /seed && ln -s ${victim} /seed/link\nFROM busybox\n` +
        "RUN --mount=type=cache,id=seed,from=made,source=/seed,target=/s cat /s/link/word; ls -l /s\n" +
        "RUN --mount=type=cache,id=out,from=made,source=/seed/link,target=/s cat /s/word; true\n",
    );
    assert.ok(!shown(ran).includes(word), shown(ran));
  });
});

describe("copies", () => {
  it("to and from links of the image or the context stay inside them", async () => {
    await symlink(victim, path.join(folder, "link"));
    await writeFile(path.join(folder, "file"), "new");
    const inside = await build(
      `FROM busybox\nRUN mkdir -p ${victim} && ln -s ${victim} /out && ln -s ${victim}/word /word\n` +
        `COPY file /out/word\nCOPY file /word\nADD file /out/empty/\nWORKDIR ${victim}/made\nWORKDIR /out/made2\n`,
    );
    assert.equal(inside.code, 0, inside.stderr);
    const seen = await bed.engine.docker(["run", "--rm", "evil", "cat", `${victim}/word`]);
    assert.equal(seen, "new");
    for (const source of ["link/word", "link/", `${"../".repeat(20)}${victim}/word`]) {
      const ran = await build(`FROM busybox\nCOPY ${source} /got/\nRUN cat /got/word\n`);
      assert.notEqual(ran.code, 0, source);
      assert.ok(!shown(ran).includes(word), shown(ran));
    }
  });

  it("of archives unpack no entry outside", async () => {
    await writeFile(path.join(folder, "word"), "new");
    await symlink(victim, path.join(folder, "link"));
    const up = `${"../".repeat(20)}${victim.slice(1)}`;
    const archives: Record<string, readonly string[]> = {
      "climbing.tar": [`--transform=s,^word,${up}/word,`, "word"],
      "absolute.tar": [`--transform=s,^word,${victim}/word,`, "word"],
      "linked.tar": ["--transform=s,^word,link/word,", "link", "word"],
    };
    for (const [name, args] of Object.entries(archives)) {
      await mustRun(["tar", "-P", "-cf", path.join(folder, name), "-C", folder, ...args]);
      const ran = await build(`FROM busybox\nADD ${name} /unpacked/\n`);
      // A refusal is as good as a file in the image.
      if (ran.code !== 0) assert.match(ran.stderr, /escape|outside|invalid|link|breakout|path/i);
    }
  });
});

describe("git contexts", () => {
  it("are refused with folders and references that lead elsewhere", async () => {
    const repository = path.join(folder, "repository");
    await mkdir(repository);
    await symlink(victim, path.join(repository, "link"));
    await writeFile(path.join(repository, "Dockerfile"), "FROM busybox\nCOPY . /all\n");
    await using server = await serveRepository(repository);
    const tryUrl = (suffix: string): Promise<Ran> =>
      run(["docker", "build", "--progress=plain", `${server.url}${suffix}`], {
        env: bed.env,
        timeoutMs: 60_000,
      });
    const good = await tryUrl("#main");
    assert.equal(good.code, 0, good.stderr);
    for (const suffix of [
      ...[
        "#main:../victim",
        "#main:link",
        "#main:link/empty",
        `#main:${"../".repeat(20)}${victim}`,
      ],
      ...["#--upload-pack=touch", "#main/../../x"],
    ]) {
      const ran = await tryUrl(suffix);
      assert.notEqual(ran.code, 0, suffix);
      assert.ok(!shown(ran).includes(word), shown(ran));
    }
    await assertUntouched();
  });
});

describe("a step", () => {
  it("has no right and no network that was not granted", async () => {
    for (const [option, refusal] of [
      ["--security=insecure", /security\.insecure is not allowed/],
      ["--network=host", /network\.host is not allowed/],
    ] as const) {
      const ran = await build(`# syntax=docker/dockerfile:1\nFROM busybox\nRUN ${option} true\n`);
      assert.equal(ran.code, 1, ran.stderr);
      assert.match(ran.stderr, refusal);
      // It is the graph that is refused, and no line of the Dockerfile.
      assert.doesNotMatch(ran.stderr, />>>/);
    }
    const ran = await build(
      "FROM busybox\nRUN grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status > /status\n",
    );
    assert.equal(ran.code, 0, ran.stderr);
    const built = await bed.engine.docker(["run", "--rm", "evil", "cat", "/status"]);
    const grep = ["grep", "-E", "^(CapEff|Seccomp|NoNewPrivs):", "/proc/self/status"];
    assert.equal(built, await bed.engine.docker(["run", "--rm", "busybox", ...grep]));
    assert.match(built, /^Seccomp:\t2$/m);
  });

  it("sees no socket of the engine, none of its folders and no variable of its services", async () => {
    const ran = await build(
      "FROM busybox\nRUN find / -xdev -type s > /sockets; env > /env; ls -d " +
        `/var/run/docker.sock /run/gantry ${bed.engine.runRoot} ${bed.engine.dataRoot} > /found 2>/dev/null; ` +
        "cat /proc/net/unix > /abstract; true\n",
    );
    assert.equal(ran.code, 0, ran.stderr);
    const cat = ["cat", "/sockets", "/found"];
    assert.equal(await bed.engine.docker(["run", "--rm", "evil", ...cat]), "");
    const rest = await bed.engine.docker(["run", "--rm", "evil", "cat", "/env", "/abstract"]);
    assert.doesNotMatch(rest, /GANTRY_|docker\.sock|\.sock/);
  });

  it("leaves a secret in no cache that is exported, and in none of the builder's", async () => {
    const secret = "swordfish-4711-secret";
    await writeFile(path.join(folder, "secret"), secret);
    await writeFile(path.join(folder, ".dockerignore"), "secret\n");
    const cache = path.join(folder, "cache");
    const ran = await build(
      "FROM busybox AS made\nRUN --mount=type=secret,id=s wc -c < /run/secrets/s > /length\n" +
        "FROM busybox\nRUN --mount=type=secret,id=s,env=S echo ${#S} > /length\nCOPY --from=made /length /other\n",
      ["--secret", "id=s,src=secret", "--cache-to", `type=local,dest=${cache},mode=max`],
    );
    assert.equal(ran.code, 0, ran.stderr);
    assert.ok(!shown(ran).includes(secret));
    const services = ["build-service", "container-service", "image-service"];
    const places = [...services.map((name) => path.join(bed.engine.dataRoot, name)), cache];
    const unpacked = path.join(folder, "unpacked");
    await mkdir(unpacked);
    for (const blob of await readdir(path.join(cache, "blobs/sha256"))) {
      const bytes = await readFile(path.join(cache, "blobs/sha256", blob));
      if (bytes[0] === "{".charCodeAt(0)) continue;
      await mustRun(["tar", "-xf", path.join(cache, "blobs/sha256", blob), "-C", unpacked]);
    }
    assert.equal((await run(["grep", "-rlF", secret, ...places, unpacked])).stdout, "");
    // Another value is no other key: all three steps are there.
    await writeFile(path.join(folder, "secret"), "another");
    const again = await build(await readFile(path.join(folder, "Dockerfile"), "utf8"), [
      ...["--secret", "id=s,src=secret"],
    ]);
    assert.equal((again.stderr.match(/^#\d+ CACHED$/gm) ?? []).length, 3, again.stderr);
  });
});
