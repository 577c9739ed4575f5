/** What a create lets pass and a start refuses, with a dockerd's status and text; and binds of the engine's own data. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { ask, messageOf } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const runc =
  "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ";
const create = async (HostConfig: object, name = "late") =>
  await ask(engine, {
    method: "POST",
    path: `/v1.51/containers/create?name=${name}`,
    body: { Image: "busybox", Cmd: ["sleep", "100000"], HostConfig },
  });

describe("a start is refused", () => {
  it("for a command that is an empty word, not its create", async () => {
    const made = await ask(engine, {
      method: "POST",
      path: "/v1.51/containers/create?name=wordless",
      body: { Image: "busybox", Cmd: [""] },
    });
    assert.equal(made.status, 201, made.body);
    const started = await ask(engine, { method: "POST", path: "/containers/wordless/start" });
    assert.equal(started.status, 400);
    assert.match(messageOf(started), /exec: "": executable file not found in \$PATH/);
    await engine.docker(["commit", "wordless", "wordless"]);
    await engine.docker(["rm", "wordless"]);
  });

  const sysctl = (key: string, rest: object = {}): object => ({ Sysctls: { [key]: "1" }, ...rest });
  const rows: readonly [string, object, number, string][] = [
    [
      "for a sysctl of the whole machine",
      sysctl("vm/swappiness"),
      500,
      `${runc}sysctl "vm.swappiness" is not in a separate kernel namespace`,
    ],
    [
      "for a network's sysctl on the host's network",
      sysctl("net.ipv4.ip_forward", { NetworkMode: "host" }),
      500,
      `${runc}sysctl "net.ipv4.ip_forward" not allowed in host network namespace`,
    ],
    [
      "for a sysctl of the host's IPC",
      sysctl("kernel.msgmax", { IpcMode: "host" }),
      500,
      `${runc}sysctl "kernel.msgmax" is not allowed in the hosts ipc namespace`,
    ],
    [
      "for a second host name",
      sysctl("kernel.hostname"),
      500,
      `${runc}sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field`,
    ],
    [
      "for a sysctl that there is not",
      sysctl("net.nope"),
      400,
      `${runc}unable to start container process: error during container init: open /proc/sys/net/nope: no such file or directory: unknown`,
    ],
    [
      "for a sysctl's value",
      { Sysctls: { "net.ipv4.ip_forward": "zz" } },
      500,
      `${runc}unable to start container process: error during container init: write /proc/sys/net/ipv4/ip_forward: invalid argument: unknown`,
    ],
    [
      "for the network of nobody",
      { NetworkMode: "container:nope" },
      500,
      "joining network namespace of container: No such container: nope",
    ],
    [
      "for its own network",
      { NetworkMode: "container:late" },
      500,
      "cannot join own network namespace",
    ],
    [
      "for a word that is no option of a tmpfs",
      { Tmpfs: { "/t": "size=1m,evil=1" } },
      500,
      'invalid tmpfs option "evil"',
    ],
    ["for an empty word", { Tmpfs: { "/t": "," } }, 500, 'invalid tmpfs option ""'],
    [
      "for CDI devices",
      { DeviceRequests: [{ Driver: "cdi" }, { Driver: "cdi", DeviceIDs: ["a.b/c=0", "a.b/c=1"] }] },
      500,
      "CDI device injection failed: unresolvable CDI devices a.b/c=0, a.b/c=1",
    ],
    [
      "for a device driver",
      { DeviceRequests: [{ Count: -1, Capabilities: [["gpu", "utility"], ["tpu"]] }] },
      500,
      'could not select device driver "" with capabilities: [[gpu utility] [tpu]]',
    ],
    [
      "for a limited device that there is not",
      { BlkioDeviceReadBps: [{ Path: "/dev/nope", Rate: 1000 }] },
      500,
      "stat /dev/nope: no such file or directory",
    ],
  ];
  for (const [what, hostConfig, status, text] of rows) {
    it(`${what}, not its create, and can be tried again`, async () => {
      assert.equal((await create(hostConfig)).status, 201);
      for (let attempt = 0; attempt < 2; attempt++) {
        const refused = await ask(engine, { method: "POST", path: "/containers/late/start" });
        assert.deepEqual([refused.status, messageOf(refused)], [status, text]);
      }
      assert.equal(await engine.docker(["inspect", "-f", "{{.State.Error}}", "late"]), text);
      await engine.docker(["rm", "late"]);
    });
  }
});

describe("a bind of what lies below a file", () => {
  it("is refused at the start, as the user's fault, or at the create of a mount", async () => {
    assert.equal((await create({ Binds: ["/etc/passwd/x:/m"] })).status, 201);
    const refused = await ask(engine, { method: "POST", path: "/containers/late/start" });
    assert.equal(refused.status, 400);
    assert.match(
      messageOf(refused),
      /error mounting "\/etc\/passwd\/x" to rootfs at "\/m": .*not a directory: Are you trying/,
    );
    const code = await engine.docker(["inspect", "-f", "{{.State.ExitCode}}", "late"]);
    assert.equal(code, "127");
    await engine.docker(["rm", "late"]);
    const mount = await create({
      Mounts: [{ Type: "bind", Source: "/etc/passwd/x", Target: "/m" }],
    });
    assert.deepEqual(
      [mount.status, messageOf(mount)],
      [400, 'invalid mount config for type "bind": stat /etc/passwd/x: not a directory'],
    );
  });
});

describe("storage options", () => {
  it("are the daemon's fault, whose driver has none", async () => {
    for (const [option, text] of [
      ["foo", "Unknown option foo"],
      ["size", "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"],
    ] as const) {
      const refused = await create({ StorageOpt: { [option]: "1" } });
      assert.deepEqual([refused.status, messageOf(refused)], [500, text]);
    }
  });
});

describe("a start without whose namespaces it joins is refused", () => {
  const start = { method: "POST", path: "/containers/late/start" } as const;

  for (const [mode, status, text] of [
    ["PidMode", 500, "failed to join PID namespace: container DONOR is not running"],
    ["IpcMode", 409, "failed to join IPC namespace: container DONOR is not running"],
    [
      "NetworkMode",
      409,
      "cannot join network namespace of a non running container: container donor is created",
    ],
  ] as const) {
    it(`in ${mode}`, async () => {
      const donor = await engine.docker(["create", "--name", "donor", "busybox", "true"]);
      assert.equal((await create({ [mode]: "container:donor" })).status, 201);
      const refused = await ask(engine, start);
      assert.deepEqual(
        [refused.status, messageOf(refused)],
        [status, text.replace("DONOR", donor)],
      );
      await engine.docker(["rm", "late", "donor"]);
    });
  }

  it("in PidMode and IpcMode, when it is gone", async () => {
    for (const [mode, status, what] of [
      ["PidMode", 500, "PID"],
      ["IpcMode", 400, "IPC"],
    ] as const) {
      const donor = await engine.docker(["create", "--name", "donor", "busybox", "true"]);
      assert.equal((await create({ [mode]: "container:donor" })).status, 201);
      await engine.docker(["rm", "donor"]);
      const refused = await ask(engine, start);
      assert.deepEqual(
        [refused.status, messageOf(refused)],
        [status, `failed to join ${what} namespace: No such container: ${donor}`],
      );
      await engine.docker(["rm", "late"]);
    }
  });
});

describe("a bind beside the engine's data", () => {
  const shown = async (): Promise<string> =>
    await engine.docker(["inspect", "-f", "{{range .Mounts}}{{.Propagation}}{{end}}", "late"]);

  it("is a slave of what the engine mounts, unless something else is asked for", async () => {
    for (const [source, propagation] of [
      ["/", "rslave"],
      [engine.root, "rslave"],
      [engine.dataRoot, "rslave"],
      [`${engine.dataRoot}/container-service`, "rslave"],
      [`${engine.dataRoot}x`, "rprivate"],
      ["/etc", "rprivate"],
    ] as const) {
      for (const hostConfig of [
        { Binds: [`${source}:/x:ro`] },
        { Mounts: [{ Type: "bind", Source: source, Target: "/x", BindOptions: {} }] },
      ]) {
        if (source.endsWith("x"))
          await engine.docker(["run", "--rm", "-v", `${source}:/x`, "busybox", "true"]);
        const made = await create(hostConfig);
        assert.equal(made.status, 201, made.body);
        assert.equal(await shown(), propagation, source);
        await engine.docker(["rm", "late"]);
      }
    }
  });

  it("runs where nothing can pass, if nobody asked for passing", async () => {
    const folder = path.join(engine.dataRoot, "private");
    await mkdir(folder);
    await mustRun(["mount", "-t", "tmpfs", "private", folder]);
    try {
      await mustRun(["mount", "--make-private", folder]);
      await engine.docker(["run", "--rm", "-v", `${folder}:/x`, "busybox", "true"]);
      const asked = await engine.tryDocker([
        ...["run", "--rm", "-v", `${folder}:/x:rslave`, "busybox", "true"],
      ]);
      assert.match(asked.stderr, /but it is not a shared or slave mount/);
    } finally {
      await mustRun(["umount", folder]);
    }
  });

  it("is refused with a propagation that holds what is mounted there", async () => {
    for (const propagation of ["rprivate", "private", "shared", "slave"]) {
      for (const hostConfig of [
        { Binds: [`/:/x:${propagation}`] },
        {
          Mounts: [
            { Type: "bind", Source: "/", Target: "/x", BindOptions: { Propagation: propagation } },
          ],
        },
      ]) {
        const refused = await create(hostConfig);
        assert.deepEqual(
          [refused.status, messageOf(refused)],
          [
            400,
            `invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, daemon root: "${engine.dataRoot}", bind mount source: "/", propagation: "${propagation}"`,
          ],
        );
      }
    }
  });
});
