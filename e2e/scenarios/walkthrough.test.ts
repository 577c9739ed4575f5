/**
 * The list "what a user can do" with the stock CLI, command by command, each with what a user
 * looks at. One engine for the whole file; tests build on each other as a session does.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { Registry } from "@gantry/testkit/registry";
import { startRegistry } from "@gantry/testkit/registry";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);

describe("docker version and info", () => {
  it("names client and server versions", async () => {
    const version = JSON.parse(await docker("version", "-f", "{{json .Server}}")) as {
      ApiVersion: string;
      Platform: { Name: string };
      Os: string;
    };
    assert.equal(version.ApiVersion, "1.52");
    assert.equal(version.Platform.Name, "Gantry");
    assert.equal(version.Os, "linux");
  });
  it("describes the host", async () => {
    const info = JSON.parse(await docker("info", "-f", "{{json .}}")) as {
      NCPU: number;
      Driver: string;
      OSType: string;
      ServerErrors?: string[];
    };
    assert.ok(info.NCPU >= 1);
    assert.equal(info.Driver, "overlayfs");
    assert.equal(info.OSType, "linux");
    assert.equal(info.ServerErrors, undefined);
  });
});

describe("docker run", () => {
  it("streams output and returns the exit code", async () => {
    const ran = await engine.tryDocker([
      "run",
      "--rm",
      "busybox",
      "sh",
      "-c",
      "echo out; echo err >&2; exit 7",
    ]);
    assert.deepEqual([ran.code, ran.stdout, ran.stderr], [7, "out\n", "err\n"]);
  });
  it("feeds standard input with -i", async () => {
    assert.equal(
      await engine.docker(["run", "--rm", "-i", "busybox", "cat"], { input: "one\ntwo\n" }),
      "one\ntwo",
    );
  });
  it("sets environment, working directory, user, host name and entrypoint", async () => {
    const script = "echo $COLOUR; pwd; id -u; id -g; hostname";
    const shown = await docker(
      "run",
      "--rm",
      "-e",
      "COLOUR=blue",
      "-w",
      "/var/lib/new",
      "-u",
      "1000:1001",
      "--hostname",
      "berth",
      "--entrypoint",
      "sh",
      "busybox",
      "-c",
      script,
    );
    assert.equal(shown, "blue\n/var/lib/new\n1000\n1001\nberth");
  });
  it("binds a host folder with -v", async () => {
    const folder = path.join(engine.root, "bound");
    await mkdir(folder);
    await writeFile(path.join(folder, "in"), "from the host");
    assert.equal(
      await docker(
        "run",
        "--rm",
        "-v",
        `${folder}:/data`,
        "busybox",
        "sh",
        "-c",
        "cat /data/in; echo -n back > /data/out",
      ),
      "from the host",
    );
    assert.equal(await readFile(path.join(folder, "out"), "utf8"), "back");
    const refused = await engine.tryDocker([
      "run",
      "--rm",
      "-v",
      `${folder}:/data:ro`,
      "busybox",
      "touch",
      "/data/x",
    ]);
    assert.match(refused.stderr, /Read-only file system/);
  });
  it("limits memory, CPU and processes", async () => {
    const id = await docker(
      "run",
      "-d",
      "-m",
      "64m",
      "--cpus",
      "0.5",
      "--pids-limit",
      "33",
      "busybox",
      "sleep",
      "1000",
    );
    const pid = await docker("inspect", "-f", "{{.State.Pid}}", id);
    const value = async (controller: string, file: string): Promise<string> => {
      const line = (await readFile(`/proc/${pid}/cgroup`, "utf8"))
        .split("\n")
        .find((entry) => entry.split(":")[1]?.split(",").includes(controller));
      assert.ok(line !== undefined, `no v1 ${controller} hierarchy`);
      return (
        await readFile(`/sys/fs/cgroup/${controller}${line.split(":")[2] ?? ""}/${file}`, "utf8")
      ).trim();
    };
    assert.equal(await value("memory", "memory.limit_in_bytes"), String(64 * 1024 * 1024));
    assert.equal(await value("cpu", "cpu.cfs_quota_us"), "50000");
    assert.equal(await value("pids", "pids.max"), "33");
    await docker("rm", "-f", id);
  });
  it("has no way to write with --read-only", async () => {
    const ran = await engine.tryDocker(["run", "--rm", "--read-only", "busybox", "touch", "/x"]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /Read-only file system/);
  });
  it("adds and drops capabilities", async () => {
    const effective = async (...args: string[]): Promise<bigint> =>
      BigInt(
        `0x${(await docker("run", "--rm", ...args, "busybox", "sh", "-c", "grep CapEff /proc/self/status")).split("\t")[1] ?? ""}`,
      );
    const usual = await effective();
    assert.equal(usual, 0xa80425fbn);
    assert.equal(await effective("--cap-drop", "CHOWN"), usual & ~1n);
    assert.equal(await effective("--cap-add", "NET_ADMIN"), usual | (1n << 12n));
    assert.ok((await effective("--privileged")) > usual);
  });
  it("runs an init process with --init", async () => {
    assert.match(
      await docker("run", "--rm", "--init", "busybox", "cat", "/proc/1/cmdline"),
      /docker-init/,
    );
  });
  for (const network of ["bridge", "host", "none"]) {
    it(`runs on the ${network} network`, async () => {
      const links = await docker(
        "run",
        "--rm",
        "--network",
        network,
        "busybox",
        "ls",
        "/sys/class/net",
      );
      if (network === "none") assert.equal(links, "lo");
      if (network === "bridge") assert.equal(links, "eth0\nlo");
      if (network === "host") assert.match(links, /^gtry/m);
    });
  }
  it("publishes a port", async () => {
    const id = await docker(
      "run",
      "-d",
      "-p",
      "127.0.0.1::8080",
      "-p",
      "8080",
      "busybox",
      "sh",
      "-c",
      "mkdir /w; echo -n hello > /w/index.html; exec httpd -f -p 8080 -h /w",
    );
    const published = await docker("port", id, "8080/tcp");
    for (const address of published.split("\n").filter((line) => line !== "")) {
      const url = `http://${address.replace("0.0.0.0", "127.0.0.1")}/index.html`;
      await untilPasses(async () => {
        assert.equal(await (await fetch(url)).text(), "hello");
      });
    }
    await docker("rm", "-f", id);
  });
});

describe("the life of a container", () => {
  it("goes from run -d over logs, exec, stop and start to rm", async () => {
    const id = await docker(
      "run",
      "-d",
      "--name",
      "life",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 5' TERM; echo begun; while :; do sleep 0.1; done",
    );
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.match(await docker("ps", "--format", "{{.Names}} {{.Status}}"), /^life Up /m);
    await untilPasses(async () => {
      assert.equal(await docker("logs", "life"), "begun");
    });
    assert.equal(await docker("exec", "-e", "A=b", "life", "sh", "-c", "echo $A"), "b");
    assert.equal((await engine.tryDocker(["exec", "life", "sh", "-c", "exit 9"])).code, 9);
    await docker("stop", "life");
    assert.equal(
      await docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "life"),
      "exited 5",
    );
    await docker("start", "life");
    await docker("restart", "-t", "0", "life");
    assert.equal(await docker("inspect", "-f", "{{.State.Running}}", "life"), "true");
    const waiting = engine.docker(["wait", "life"]);
    await docker("kill", "life");
    assert.equal(await waiting, "137");
    await docker("rm", "life");
    assert.match(
      (await engine.tryDocker(["inspect", "life"])).stderr,
      /No such (object|container)/i,
    );
  });
  it("follows a log until the container ends", async () => {
    const id = await docker(
      "run",
      "-d",
      "busybox",
      "sh",
      "-c",
      "for i in 1 2 3; do echo $i; sleep 0.1; done",
    );
    assert.equal(await docker("logs", "-f", id), "1\n2\n3");
    await docker("rm", id);
  });
  it("attaches to a running container and returns its exit code", async () => {
    const script = "trap 'echo later; exit 4' USR1; echo ready; while :; do sleep 0.05; done";
    const id = await docker("run", "-d", "busybox", "sh", "-c", script);
    await untilPasses(async () => {
      assert.equal(await docker("logs", id), "ready");
    });
    const attached = engine.tryDocker(["attach", "--no-stdin", id]);
    await untilPasses(async () => {
      const now = String(Math.ceil(Date.now() / 1000));
      const filters = ["--filter", `container=${id}`, "--filter", "event=attach"];
      assert.notEqual(await docker("events", "--since", "0", "--until", now, ...filters), "");
    });
    await docker("kill", "-s", "USR1", id);
    const { code, stdout } = await attached;
    assert.deepEqual([code, stdout], [4, "later\n"]);
    await docker("rm", id);
  });
  it("tells its story by events", async () => {
    const since = String(Math.floor(Date.now() / 1000));
    await docker("run", "--rm", "--name", "told", "busybox", "true");
    const until = String(Math.ceil(Date.now() / 1000) + 1);
    const lines = (
      await docker(
        "events",
        "--since",
        since,
        "--until",
        until,
        "--filter",
        "container=told",
        "--format",
        "{{.Action}}",
      )
    ).split("\n");
    assert.deepEqual(lines, ["create", "attach", "start", "die", "destroy"]);
  });
});

describe("images", () => {
  let registry: Registry;
  before(async () => {
    registry = await startRegistry({ dir: path.join(engine.root, "registry") });
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
  });
  it("are tagged, pushed, removed and pulled again", async () => {
    const name = `${registry.host}/harbour/busybox:v1`;
    await docker("tag", "busybox", name);
    assert.match(await docker("push", name), /v1: digest: sha256:[0-9a-f]{64} size: \d+/);
    assert.match(await docker("rmi", name), /Untagged: /);
    const pulled = await docker("pull", name);
    assert.match(pulled, /Status: Downloaded newer image for |Status: Image is up to date for /);
    assert.equal(
      await docker("run", "--rm", name, "echo", "from the registry"),
      "from the registry",
    );
    assert.match(
      await docker("images", "--format", "{{.Repository}}:{{.Tag}}"),
      new RegExp(`^${name.replaceAll(".", "\\.")}$`, "m"),
    );
    await docker("rmi", name);
  });
  it("are saved and loaded", async () => {
    const archive = path.join(engine.root, "saved.tar");
    await docker("tag", "busybox", "kept:1");
    await docker("save", "-o", archive, "kept:1");
    await docker("rmi", "kept:1");
    assert.match(await docker("load", "-i", archive), /Loaded image: kept:1/);
    assert.equal(await docker("run", "--rm", "kept:1", "echo", "loaded"), "loaded");
    await docker("rmi", "kept:1");
  });
  it("are imported from a tar", async () => {
    const source = await docker("create", "busybox");
    const archive = path.join(engine.root, "rootfs.tar");
    await docker("export", "-o", archive, source);
    await docker("rm", source);
    assert.match(
      await docker("import", "-c", 'CMD ["echo","imported"]', archive, "from-tar:1"),
      /^sha256:[0-9a-f]{64}$/m,
    );
    assert.equal(await docker("run", "--rm", "from-tar:1"), "imported");
    await docker("rmi", "from-tar:1");
  });
});
