/** Builds for several platforms, one of them by an emulator, by the stock CLI with buildx 0.13 and without. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, describe, it } from "node:test";
import { type Ran, run } from "@gantry/testkit";
import type { RegisteredBinfmt } from "@gantry/testkit/binfmt";
import { debianProgram, machineRelease } from "@gantry/testkit/debian";
import { foreign, registerEmulator } from "@gantry/testkit/emulator";
import { makeImage, makeIndexArchive, makeLayer } from "@gantry/testkit/image-maker";
import { useBuildxBed } from "../src/buildx-bed.ts";

const own = process.arch === "arm64" ? "arm64" : "amd64";
const ownMachine = process.arch === "arm64" ? "aarch64" : "x86_64";
const other = foreign.architecture;
const both = ["--platform", `linux/${own},linux/${other}`];

let emulator: RegisteredBinfmt;

const bed = useBuildxBed({
  prepare: async (engine) => {
    emulator = await registerEmulator();
    const archive = await makeIndexArchive("docker.io/library/multi:latest", [
      {
        architecture: own,
        image: await busybox(own, await debianProgram("busybox-static", "/bin/busybox")),
      },
      { architecture: other, image: await busybox(other, await foreignBusybox()) },
    ]);
    await engine.docker(["load"], { input: archive });
  },
});
after(async () => {
  await emulator[Symbol.asyncDispose]();
});

async function foreignBusybox(): Promise<string> {
  const suite = `${await machineRelease()}/${other}`;
  return await debianProgram("busybox-static", "/bin/busybox", suite);
}

async function busybox(architecture: string, program: string) {
  const applets = ["sh", "uname", "cat", "hostname"];
  const layer = await makeLayer([
    { header: { name: "bin/", type: "directory" } },
    { header: { name: "bin/busybox", mode: 0o755 }, content: await readFile(program) },
    ...applets.map((name) => ({
      header: { name: `bin/${name}`, type: "symlink" as const, linkname: "busybox" },
    })),
  ]);
  return makeImage({ layers: [layer], architecture, config: { Cmd: ["sh"] } });
}

/** Builds a Dockerfile without context. */
async function build(dockerfile: readonly string[], args: readonly string[] = []): Promise<Ran> {
  return await run(["docker", "build", "--progress=plain", ...args, "-"], {
    env: bed.env,
    input: Buffer.from(`${dockerfile.join("\n")}\n`),
    timeoutMs: 180_000,
  });
}

async function built(dockerfile: readonly string[], args: readonly string[] = []): Promise<string> {
  const ran = await build(dockerfile, args);
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stderr;
}

const output = (image: string, architecture: string, ...command: string[]): Promise<string> =>
  bed.engine.docker(["run", "--rm", "--platform", `linux/${architecture}`, image, ...command]);

describe("the builder", () => {
  it("says for which platforms it can build, now", async () => {
    const platforms = async (): Promise<string[]> => {
      const { stdout } = await run(["docker", "buildx", "inspect"], { env: bed.env });
      return (/^Platforms: +(.*)$/m.exec(stdout)?.[1] ?? "").split(", ");
    };
    const all = await platforms();
    assert.equal(all[0], `linux/${own}`);
    assert.ok(all.includes(`linux/${other}`), all.join());
    await emulator.enable(false);
    assert.ok(!(await platforms()).includes(`linux/${other}`));
    await emulator.enable(true);
  });
});

describe("a build for several platforms", () => {
  const dockerfile = [
    ...["FROM --platform=$BUILDPLATFORM multi AS host", "RUN uname -m > /quick"],
    ...["ARG TARGETARCH", "RUN echo for $TARGETARCH > /host"],
    ...["FROM multi", "COPY --from=host /quick /host /", "RUN uname -m > /target"],
  ];

  it("runs each step where it belongs, and says where that is", async () => {
    const shown = await built(dockerfile, [...both, "-t", "several"]);
    for (const name of [
      `[linux/${own} internal] load metadata for docker.io/library/multi:latest`,
      `[linux/${other} internal] load metadata for docker.io/library/multi:latest`,
      `[linux/${own} host 2/3] RUN uname -m > /quick`,
      `[linux/${own} host 3/3] RUN echo for ${own} > /host`,
      `[linux/${own}->${other} host 3/3] RUN echo for ${other} > /host`,
      `[linux/${own} stage-1 3/3] RUN uname -m > /target`,
      `[linux/${other} stage-1 3/3] RUN uname -m > /target`,
    ])
      assert.ok(shown.includes(`${name}\n`), `${name} is missing in:\n${shown}`);
    assert.equal(shown.split("RUN uname -m > /quick").length, 2, "what is the same was done twice");
    const files = ["cat", "/quick", "/host", "/target"];
    assert.equal(
      await output("several", own, ...files),
      `${ownMachine}\nfor ${own}\n${ownMachine}`,
    );
    assert.equal(
      await output("several", other, ...files),
      `${ownMachine}\nfor ${other}\n${foreign.machine}`,
    );
  });

  it("makes one manifest of a platform that is named twice, and warns of it", async () => {
    const twice = ["--platform", `linux/${own},linux/${other},linux/${own}`];
    const shown = await built(["FROM multi", "ENV A=b"], [...twice, "-t", "twice"]);
    assert.match(shown, new RegExp(`WARN: Duplicate platform result requested "linux/${own}"`));
    assert.equal(shown.match(/exporting manifest sha256:\S+ done/g)?.length, 2);
  });

  it("is written as a tar with a folder for each", async () => {
    const tar = path.join(bed.engine.root, "platforms.tar");
    await built(
      ["FROM scratch", "ARG TARGETARCH", "COPY <<EOF /$TARGETARCH", "$TARGETARCH", "EOF"],
      [...both, "-o", `type=tar,dest=${tar}`],
    );
    const listed = (await run(["tar", "-tf", tar], {})).stdout.trim().split("\n");
    assert.deepEqual(
      listed,
      [own, other].flatMap((each) => [`linux_${each}/`, `linux_${each}/${each}`]),
    );
  });
});

describe("FROM --platform", () => {
  it("takes that platform's image, also where the build is for none in particular", async () => {
    const dockerfile = [`FROM --platform=linux/${other} multi`, "RUN uname -m > /machine"];
    await built(dockerfile, ["-t", "foreign"]);
    assert.equal(await output("foreign", other, "cat", "/machine"), foreign.machine);
    assert.equal(await bed.engine.docker(["inspect", "-f", "{{.Architecture}}", "foreign"]), other);

    const classic = await run(["docker", "build", "-t", "classic", "-"], {
      env: { ...bed.env, DOCKER_BUILDKIT: "0" },
      input: Buffer.from(`${dockerfile.join("\n")}\n`),
    });
    assert.equal(classic.code, 0, classic.stderr);
    assert.equal(await output("classic", other, "cat", "/machine"), foreign.machine);
  });

  it("says when the image has no such platform", async () => {
    const ran = await build(["FROM multi"], ["--platform", "linux/riscv64"]);
    assert.equal(ran.code, 1);
    assert.match(
      ran.stderr,
      /ERROR: failed to solve: multi: failed to resolve source metadata for docker\.io\/library\/multi:latest: no match for platform in manifest: not found\n$/,
    );
  });

  it("takes an image without an index as it is, and warns", async () => {
    await built(["FROM scratch", "COPY <<EOF /file", "EOF"], ["--provenance=false", "-t", "plain"]);
    const shown = await built(["FROM plain"], ["--platform", `linux/${other}`]);
    assert.match(
      shown,
      new RegExp(
        `InvalidBaseImagePlatform: Base image plain was pulled with platform "linux/${own}", expected "linux/${other}"`,
      ),
    );
  });
});

describe("a step", () => {
  it("has BuildKit's host name, and the host's address by host-gateway", async () => {
    const dockerfile = ["FROM multi", "RUN hostname > /names; cat /etc/hosts >> /names"];
    await built(dockerfile, ["--add-host", "outside:host-gateway", "-t", "named"]);
    const gateway = await bed.engine.docker([
      ...["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"],
    ]);
    const names = await output("named", own, "cat", "/names");
    assert.match(names, /^buildkitsandbox\n/);
    assert.ok(names.includes(`${gateway}\toutside`), names);
  });
});
