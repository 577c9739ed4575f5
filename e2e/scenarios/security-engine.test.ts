/**
 * Attacks of containers on the engine that runs them, by the classes that other engines had faults of (S1 to S25 in
 * the names). What holds the attack off is read from the kernel or from what the attacker got.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { type ServiceName, TestEngine } from "@gantry/testkit/test-engine";
import { lines, sh, shimOf } from "../src/hostile-container.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const readLink = (file: string): string => {
  try {
    return readlinkSync(file);
  } catch {
    // Closed meanwhile.
    return "";
  }
};

async function enginePids(): Promise<number[]> {
  const names = ["api-gateway", "container-service", "image-service", "supervisor"] as const;
  return (await Promise.all(names.map((name) => engine.pidsOf(name)))).flat();
}

describe("S15: the engine's sockets", () => {
  it("have no name that a container on the host's network could call", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const network = ["--network", "host"];
    const seen = lines(
      await engine.docker(["run", "--rm", ...network, ...sh("cat /proc/net/unix")]),
    );
    const inodes = new Set<string>();
    for (const pid of [...(await enginePids()), await shimOf(engine, id)]) {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const [, inode] = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`)) ?? [];
        if (inode !== undefined) inodes.add(inode);
      }
    }
    const own = seen.filter((line) => inodes.has(line.trim().split(/\s+/)[6] ?? ""));
    assert.ok(own.length > 5, "the engine has sockets");
    assert.deepEqual(
      own.filter((line) => line.includes(" @")),
      [],
    );
    await engine.docker(["rm", "-f", id]);
  });

  it("cannot be found from inside", async () => {
    const script =
      "find / -xdev -type s 2>/dev/null; find /run /var/run -name '*gantry*' 2>/dev/null; true";
    assert.equal(await engine.docker(["run", "--rm", "--network", "host", ...sh(script)]), "");
  });
});

describe("S16: streams that are left alone", () => {
  it("an exec ends with its process, whoever still holds its output", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    for (let round = 0; round < 10; round += 1) {
      const started = Date.now();
      assert.equal(await engine.docker(["exec", id, "sh", "-c", "sleep 500 & echo done"]), "done");
      assert.ok(Date.now() - started < 20_000);
    }
    await engine.docker(["rm", "-f", id]);
  });

  it("give back descriptors, threads and processes", async () => {
    const id = await engine.docker(["run", "-d", "-t", "busybox", "sleep", "1000"]);
    const use = async (rounds: number): Promise<void> => {
      const socket = engine.dockerHost.replace("unix://", "");
      const script = `
import socket, json, sys
def call(method, path, body=None, wait=True, upgrade=False):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
    data = b"" if body is None else json.dumps(body).encode()
    head = method + " " + path + " HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\nContent-Length: " + str(len(data)) + "\\r\\n"
    if upgrade: head += "Connection: Upgrade\\r\\nUpgrade: tcp\\r\\n"
    s.sendall(head.encode() + b"\\r\\n" + data)
    answer = s.recv(65536) if wait else b""
    s.close()
    return answer
for n in range(int(sys.argv[3])):
    c = "/containers/" + sys.argv[2]
    call("POST", c + "/attach?stream=1&stdout=1&stdin=1", upgrade=True, wait=n % 2 == 0)
    call("POST", c + "/resize?h=20&w=%d" % (40 + n % 20))
    made = call("POST", c + "/exec", {"Cmd": ["sh", "-c", "sleep 0.01 & true"], "AttachStdout": True})
    exec = json.loads(made.split(b"\\r\\n\\r\\n", 1)[1])["Id"]
    call("POST", "/exec/" + exec + "/start", {"Detach": False}, upgrade=True, wait=n % 3 != 0)
    call("GET", c + "/logs?follow=1&stdout=1", wait=n % 2 == 0)
    call("GET", c + "/stats", wait=n % 2 == 1)
`;
      const { mustRun } = await import("@gantry/testkit/run");
      await mustRun(["python3", "-c", script, socket, id, String(rounds)]);
    };
    await use(8);
    const before = await usage(id);
    await use(24);
    await eventually(async () => {
      const now = await usage(id);
      for (const [name, count] of Object.entries(now))
        assert.ok(
          count <= (before[name] ?? 0) + 6,
          `${name}: ${String(before[name])} became ${String(count)}`,
        );
      return true;
    });
    await engine.docker(["rm", "-f", id]);
  });

  /** Open descriptors of each service and of the container's shim process. */
  async function usage(id: string): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    const services: readonly ServiceName[] = ["api-gateway", "container-service", "image-service"];
    for (const service of services) {
      const [pid = 0] = await engine.pidsOf(service);
      counts[service] = readdirSync(`/proc/${String(pid)}/fd`).length;
    }
    counts["shim"] = readdirSync(`/proc/${await shimOf(engine, id)}/fd`).length;
    return counts;
  }
});

describe("texts of users", () => {
  it("add no line to hosts, resolv.conf or the environment", async () => {
    const refused = [
      ["--hostname", "a\n1.2.3.4 bank"],
      ["--hostname", "a b"],
      ["--domainname", "a\nnameserver 1.2.3.4"],
      ["--dns", "1.1.1.1\nnameserver 2.2.2.2"],
      ["--dns-search", "a\nnameserver 2.2.2.2"],
      ["--dns-option", "a\nnameserver 2.2.2.2"],
      ["--add-host", "a:1.2.3.4\n5.6.7.8 bank"],
    ];
    for (const options of refused) {
      const ran = await engine.tryDocker([
        "run",
        "--rm",
        ...options,
        ...sh("cat /etc/hosts /etc/resolv.conf"),
      ]);
      assert.notEqual(ran.code, 0, JSON.stringify(options));
    }
    const value = "x\nLD_PRELOAD=/evil.so";
    const seen = await engine.docker([
      "run",
      "--rm",
      "-e",
      `A=${value}`,
      ...sh('echo "$A"; echo "${LD_PRELOAD-none}"'),
    ]);
    assert.equal(seen, `${value}\nnone`);
    const host = await engine.docker(["run", "--rm", ...sh("env | sort | cut -d= -f1")]);
    assert.deepEqual(
      lines(host).filter((name) => /GANTRY|NODE|NATS|DOCKER/.test(name)),
      [],
    );
  });

  it("forge no line of a log", async () => {
    const forged = '{"log":"forged\\n","stream":"stdout","time":"2020-01-01T00:00:00Z"}';
    const script = `printf '%s\\n' '${forged}'; printf 'a\\000b\\033[31m\\r\\342\\200\\250c\\377\\n'`;
    const id = await engine.docker(["run", "-d", ...sh(script)]);
    await engine.docker(["wait", id]);
    const file = await engine.docker(["inspect", "-f", "{{.LogPath}}", id]);
    const records = lines(readFileSync(file, "utf8")).map(
      (line) => JSON.parse(line) as { log: string },
    );
    assert.equal(records.length, 2);
    assert.equal(records[0]?.log, `${forged}\n`);
    assert.equal(lines(await engine.docker(["logs", "-t", id]))[0]?.endsWith(forged), true);
    await engine.docker(["rm", id]);
  });
});

describe("S25: shared memory", () => {
  it("of a container that was killed for memory is given back", async () => {
    const id = await engine.docker([
      ...[
        "run",
        "-d",
        "--ipc",
        "shareable",
        "-m",
        "48m",
        "--memory-swap",
        "48m",
        "--shm-size",
        "512m",
      ],
      ...sh("dd if=/dev/zero of=/dev/shm/x bs=1M count=400; sleep 1000"),
    ]);
    const joined = await engine.tryDocker([
      ...["run", "--rm", "-m", "48m", "--memory-swap", "48m", "--ipc", `container:${id}`],
      ...sh("dd if=/dev/zero of=/dev/shm/y bs=1M count=400 && echo survived"),
    ]);
    assert.doesNotMatch(joined.stdout, /survived/);
    await engine.docker(["rm", "-f", id]);
    const left = lines(readFileSync("/proc/self/mounts", "utf8")).filter(
      (line) => line.includes(engine.root) && line.includes("shm"),
    );
    assert.deepEqual(left, []);
  });
});
