/** Commands of the CLI that can't be done: Docker's text and exit code, and nothing left behind. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit/eventually";
import { useRefusalBed } from "../src/refusal-bed.ts";

const bed = useRefusalBed();

interface RunCase {
  readonly name: string;
  readonly args: readonly string[];
  readonly code: number;
  readonly text: RegExp;
}

const runCases: readonly RunCase[] = [
  {
    name: "an unknown command",
    args: ["--rm", "busybox", "nope"],
    code: 127,
    text: /exec: "nope": executable file not found in \$PATH/,
  },
  {
    name: "an unknown absolute command",
    args: ["--rm", "busybox", "/nope"],
    code: 127,
    text: /exec: "\/nope": stat \/nope: no such file or directory/,
  },
  {
    name: "a command without execute permission",
    args: ["--rm", "busybox", "/etc/passwd"],
    code: 126,
    text: /exec: "\/etc\/passwd": permission denied/,
  },
  {
    name: "a directory as command",
    args: ["--rm", "busybox", "/etc"],
    code: 126,
    text: /exec: "\/etc": (is a directory|permission denied)/,
  },
  {
    name: "an unknown user",
    args: ["--rm", "-u", "ghost", "busybox", "true"],
    code: 125,
    text: /unable to find user ghost: no matching entries in passwd file/,
  },
  {
    name: "an unknown group",
    args: ["--rm", "-u", "0:ghosts", "busybox", "true"],
    code: 125,
    text: /unable to find group ghosts: no matching entries in group file/,
  },
  {
    name: "a user number that wraps around to root",
    args: ["--rm", "-u", "4294967296", "busybox", "true"],
    code: 125,
    text: /./,
  },
  {
    name: "a relative working directory",
    args: ["--rm", "-w", "a/b", "busybox", "true"],
    code: 125,
    text: /the working directory 'a\/b' is invalid, it needs to be an absolute path/,
  },
  {
    name: "an unknown image",
    args: ["--rm", "--pull", "never", "nosuchimage", "true"],
    code: 125,
    text: /No such image: nosuchimage:latest/,
  },
  {
    name: "an unknown network",
    args: ["--rm", "--network", "nosuchnet", "busybox", "true"],
    code: 125,
    text: /network nosuchnet not found/,
  },
  {
    name: "too little memory",
    args: ["--rm", "-m", "1m", "busybox", "true"],
    code: 125,
    text: /Minimum memory limit allowed is 6MB/,
  },
  {
    name: "a mount on the root",
    args: ["--rm", "-v", "/tmp:/", "busybox", "true"],
    code: 125,
    text: /destination can't be '\/'/,
  },
  {
    name: "an unknown capability",
    args: ["--rm", "--cap-add", "FLY", "busybox", "true"],
    code: 125,
    text: /invalid CapAdd: unknown capability: "CAP_FLY"/,
  },
];

describe("docker run with", () => {
  for (const { name, args, code, text } of runCases) {
    it(name, async () => {
      const ran = await bed.engine.tryDocker(["run", ...args]);
      assert.match(ran.stderr, text);
      assert.equal(ran.code, code, ran.stderr);
    });
  }
  it("a name in use", async () => {
    const id = await bed.engine.docker(["create", "--name", "taken", "busybox"]);
    const ran = await bed.engine.tryDocker(["run", "--name", "taken", "busybox", "true"]);
    assert.match(
      ran.stderr,
      new RegExp(
        `Conflict\\. The container name "/taken" is already in use by container "${id}"\\. You have to remove \\(or rename\\) that container to be able to reuse that name\\.`,
      ),
    );
    await bed.engine.docker(["rm", "taken"]);
  });
  it("a port that a program of the host has", async () => {
    const server = net.createServer().listen(0, "0.0.0.0");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const ran = await bed.engine.tryDocker([
      "run",
      "--name",
      "port",
      "-p",
      `${String(port)}:80`,
      "busybox",
      "true",
    ]);
    assert.equal(ran.code, 125);
    assert.match(ran.stderr, /address already in use|port is already allocated/);
    assert.equal(
      await bed.engine.docker(["inspect", "-f", "{{.State.Status}}", "port"]),
      "created",
    );
    await bed.engine.docker(["rm", "port"]);
    server.close();
  });
});

describe("a start again that fails", () => {
  it("leaves the code of the last run, unless that went well or the command is at fault", async () => {
    const name = "again";
    const folder = path.join(bed.engine.root, "source");
    const ended = async (script: string, { losesSource = false } = {}): Promise<string> => {
      await mkdir(folder, { recursive: true });
      const mount = ["--mount", `type=bind,src=${folder},dst=/m`];
      await bed.engine.tryDocker(["run", "--name", name, ...mount, "busybox", "sh", "-c", script]);
      if (losesSource) await rm(folder, { recursive: true });
      assert.equal((await bed.engine.tryDocker(["start", name])).code, 1);
      const format = "{{.State.Status}} {{.State.ExitCode}}";
      const shown = await bed.engine.docker(["inspect", "-f", format, name]);
      await bed.engine.docker(["rm", name]);
      return shown;
    };
    assert.equal(await ended("exit 7", { losesSource: true }), "exited 7");
    assert.equal(await ended("exit 0", { losesSource: true }), "exited 128");
    assert.equal(await ended("rm -rf /bin; exit 7"), "exited 127");
  });
});

describe("docker exec", () => {
  it("with a user that the container does not have is refused before anything runs", async () => {
    const name = "exec-user";
    await bed.engine.docker(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    for (const [user, what] of [
      ["ghost", "user ghost: no matching entries in passwd file"],
      ["ghost:0", "user ghost: no matching entries in passwd file"],
      ["0:ghosts", "group ghosts: no matching entries in group file"],
    ] as const) {
      for (const flags of [[], ["-d"]]) {
        const ran = await bed.engine.tryDocker(["exec", ...flags, "-u", user, name, "id"]);
        assert.equal(ran.stderr, `Error response from daemon: unable to find ${what}\n`);
        assert.equal(ran.code, 1);
      }
    }
    assert.equal(await bed.engine.docker(["exec", "-u", "7:8", name, "id", "-u"]), "7");
    await bed.engine.docker(["rm", "-f", name]);
  });

  it("with a relative working directory fails in Docker's words, and leaves code 128", async () => {
    const name = "exec-relative";
    await bed.engine.docker(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    const said = "OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown";
    const streamed = await bed.engine.tryDocker(["exec", "-w", "etc", name, "pwd"]);
    assert.deepEqual([streamed.code, streamed.stdout], [128, `${said}\r\n`]);
    const detached = await bed.engine.tryDocker(["exec", "-d", "-w", "etc", name, "pwd"]);
    assert.deepEqual(
      [detached.code, detached.stderr],
      [1, `Error response from daemon: ${said}\n`],
    );
    await bed.engine.docker(["rm", "-f", name]);
  });

  it("is told 137 when the container is killed under it", async () => {
    const name = "exec-killed";
    await bed.engine.docker(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    const running = bed.engine.tryDocker(["exec", name, "sh", "-c", "touch /here; sleep 1000"]);
    await eventually(
      async () => (await bed.engine.tryDocker(["exec", name, "ls", "/here"])).code === 0,
    );
    await bed.engine.docker(["kill", name]);
    const { code, stderr } = await running;
    assert.deepEqual([code, stderr], [137, ""]);
    await bed.engine.docker(["rm", name]);
  });
});
