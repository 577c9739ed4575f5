import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import type { EngineError } from "@gantry/errors";
import { openTempDir } from "@gantry/fs";
import {
  cleanEnvironment,
  type EngineConfig,
  engineEnvironment,
  loadConfig,
  onReload,
  parseSizeBytes,
  readNatsUrl,
  servicePaths,
  socketAccess,
} from "./index.ts";

/** Loads a daemon.json with these contents. */
async function load(
  daemon: unknown,
  env: Record<string, string> = {},
): Promise<EngineConfig & { folder: string }> {
  await using dir = await openTempDir("gantry-config-");
  const file = path.join(dir.path, "daemon.json");
  writeFileSync(file, typeof daemon === "string" ? daemon : JSON.stringify(daemon));
  return { ...loadConfig({ GANTRY_CONFIG: file, ...env }), folder: dir.path };
}

async function problemsOf(daemon: unknown, env: Record<string, string> = {}): Promise<string[]> {
  try {
    await load(daemon, env);
  } catch (error) {
    assert.equal((error as EngineError).kind, "invalid_argument");
    return (error as EngineError).message.split("\n  ").slice(1);
  }
  return [];
}

describe("loadConfig", () => {
  it("works without any file or variable", () => {
    const config = loadConfig({ GANTRY_CONFIG: "/nonexistent/daemon.json" });
    assert.equal(config.dataRoot, "/var/lib/gantry");
    assert.equal(config.runRoot, "/run/gantry");
    assert.equal(config.dockerSocket, "/run/gantry/docker.sock");
    assert.equal(config.cgroupParent, "gantry");
    assert.equal(config.linkPrefix, "gtry");
    assert.equal(config.nftTable, "gantry");
    assert.equal(config.logLevel, "info");
    assert.equal(config.containers.logDriver, "json-file");
    assert.equal(config.containers.shmSizeBytes, 67_108_864);
    assert.equal(config.network.mtu, undefined);
  });

  it("reads Docker's keys", async () => {
    const config = await load({
      debug: true,
      "data-root": "/d",
      "exec-root": "/r",
      "registry-mirrors": ["https://mirror.example"],
      "insecure-registries": ["10.0.0.0/8", "registry.example:5000"],
      bip: "172.30.0.1/16",
      mtu: 1400,
      icc: false,
      "default-address-pools": [{ base: "10.10.0.0/16", size: 24 }],
      dns: ["9.9.9.9"],
      "log-driver": "none",
      "log-opts": { "max-size": "10m" },
      "default-ulimits": { nofile: { Name: "nofile", Hard: 200, Soft: 100 } },
      hosts: ["unix:///run/x.sock", "tcp://127.0.0.1:2376"],
      tlsverify: true,
      tlscacert: "/ca.pem",
      "shutdown-timeout": 3,
      "exec-opts": ["native.cgroupdriver=cgroupfs"],
      "storage-driver": "overlay2",
    });
    assert.equal(config.logLevel, "debug");
    assert.equal(config.dataRoot, "/d");
    assert.equal(config.dockerSocket, "/r/docker.sock");
    assert.deepEqual(config.registry.insecure, ["10.0.0.0/8", "registry.example:5000"]);
    assert.equal(config.network.bridgeAddress, "172.30.0.1/16");
    assert.equal(config.network.mtu, 1400);
    assert.equal(config.network.interContainer, false);
    assert.deepEqual(config.network.defaultAddressPools, [{ base: "10.10.0.0/16", size: 24 }]);
    assert.deepEqual(config.containers.ulimits, [{ name: "nofile", soft: 100, hard: 200 }]);
    assert.deepEqual(config.containers.logOptions, { "max-size": "10m" });
    assert.equal(config.tls?.verifyClients, true);
    assert.equal(config.shutdownTimeoutMs, 3000);
  });

  it("lets the environment win over the file", async () => {
    const config = await load(
      { "data-root": "/d", debug: true },
      {
        GANTRY_DATA_ROOT: "/e",
        GANTRY_RUN_ROOT: "/r",
        GANTRY_LOG_LEVEL: "warn",
        GANTRY_INSTANCE: "t1",
        GANTRY_CGROUP_PARENT: "gantry-t1",
        GANTRY_NATS_URL: "nats://127.0.0.1:4222",
      },
    );
    assert.equal(config.dataRoot, "/e");
    assert.equal(config.logLevel, "warn");
    assert.equal(config.linkPrefix, "gtryt1");
    assert.equal(config.nftTable, "gantry_t1");
    assert.equal(config.cgroupParent, "gantry-t1");
    assert.equal(readNatsUrl(config), "nats://127.0.0.1:4222");
  });

  it("takes proxies from the environment in either case, and from daemon.json first", async () => {
    const env = { HTTP_PROXY: "http://env:1", https_proxy: "http://env:2", NO_PROXY: "a,b" };
    const { proxies } = await load({ proxies: { "http-proxy": "http://file:1" } }, env);
    assert.deepEqual(proxies, { http: "http://file:1", https: "http://env:2", none: "a,b" });
    assert.deepEqual(await problemsOf({ proxies: { "ftp-proxy": "x" } }), [
      "proxies.ftp-proxy: is not known",
    ]);
  });

  it("reads what the build cache may use", async () => {
    const none = { reservedBytes: 0, maxUsedBytes: 0, minFreeBytes: 0 };
    assert.deepEqual((await load({})).buildCache, {
      enabled: true,
      bounds: none,
      rules: undefined,
    });
    const gc = {
      enabled: true,
      defaultKeepStorage: "10GB",
      policy: [
        { keepStorage: "1GB", filter: ["unused-for=48h"] },
        { all: true, reservedSpace: "2GB", maxUsedSpace: "3GB", minFreeSpace: "512MB" },
      ],
    };
    const gib = 1024 ** 3;
    assert.deepEqual((await load({ builder: { gc, entitlements: {} } })).buildCache, {
      enabled: true,
      bounds: { ...none, reservedBytes: 10 * gib },
      rules: [
        { all: false, filters: ["unused-for=48h"], ...none, reservedBytes: gib },
        {
          ...{ all: true, filters: [], reservedBytes: 2 * gib },
          ...{ maxUsedBytes: 3 * gib, minFreeBytes: gib / 2 },
        },
      ],
    });
    const bad = {
      policy: [{ filter: ["x"], keepStorage: "much", keep: 1 }],
      defaultMaxUsedSpace: 1,
    };
    const problems = await problemsOf({ builder: { gc: bad } });
    assert.deepEqual(problems.map((problem) => problem.split(":")[0]).toSorted(), [
      "builder.gc.defaultMaxUsedSpace",
      "builder.gc.policy[0].filter",
      "builder.gc.policy[0].keep",
      "builder.gc.policy[0].keepStorage",
    ]);
  });

  it("reports every problem at once", async () => {
    const problems = await problemsOf(
      {
        debug: "yes",
        bip: "300.1.1.1/8",
        mtu: -1,
        "default-address-pools": [{ base: "10.0.0.0/16", size: 8 }, 1],
        "registry-mirrors": ["ftp://x"],
        "default-ulimits": { nofile: {} },
        "no-such-key": 1,
      },
      { GANTRY_RUN_ROOT: "relative", GANTRY_INSTANCE: "too-long" },
    );
    const keys = problems.map((problem) => problem.split(":")[0]);
    assert.deepEqual(keys.toSorted(), [
      "GANTRY_INSTANCE",
      "GANTRY_RUN_ROOT",
      "bip",
      "debug",
      "default-address-pools",
      "default-ulimits.nofile.Soft",
      "mtu",
      "no-such-key",
      "registry-mirrors",
    ]);
  });

  it("refuses a file that is no JSON object", async () => {
    for (const bad of ["{", "[]", "null", '"x"']) {
      assert.equal((await problemsOf(bad)).length, 1, bad);
    }
  });

  it("does not read keys of the prototype", async () => {
    assert.deepEqual(await problemsOf('{"__proto__": {"debug": true}}'), [
      "__proto__: no such option",
    ]);
  });
});

describe("paths", () => {
  it("gives each service its sockets and folders", () => {
    assert.deepEqual(servicePaths({ dataRoot: "/d", runRoot: "/r" }, "image-service"), {
      grpcSocket: "/r/image-service.sock",
      dataSocket: "/r/image-service.data.sock",
      dataDir: "/d/image-service",
      runDir: "/r/image-service",
    });
  });

  it("finds the embedded NATS by its file, while there is one", async () => {
    await using dir = await openTempDir("gantry-config-");
    const config = { externalNatsUrl: undefined, runRoot: dir.path };
    assert.equal(readNatsUrl(config), undefined);
    writeFileSync(path.join(dir.path, "nats.url"), "nats://u:p@127.0.0.1:1\n");
    assert.equal(readNatsUrl(config), "nats://u:p@127.0.0.1:1");
  });
});

describe("the environment of children", () => {
  it("holds what they need and nothing else", () => {
    const env = cleanEnvironment({
      PATH: "/bin",
      NODE_EXTRA_CA_CERTS: "/x",
      NODE_OPTIONS: "--inspect",
      GANTRY_LOG_LEVEL: "debug",
    });
    assert.deepEqual(env, {
      PATH: "/bin",
      HOME: "/root",
      LANG: "C.UTF-8",
      GANTRY_LOG_LEVEL: "debug",
    });
  });

  it("carries an engine's roots over to a child unchanged", async () => {
    const config = await load({}, { GANTRY_RUN_ROOT: "/r", GANTRY_INSTANCE: "t1" });
    const child = loadConfig({ ...engineEnvironment(config, {}), GANTRY_CONFIG: "/nonexistent" });
    assert.equal(child.runRoot, "/r");
    assert.equal(child.nftTable, "gantry_t1");
  });
});

describe("socketAccess", () => {
  it("opens sockets to the group where it exists, and to nobody else", async () => {
    await using dir = await openTempDir("gantry-config-");
    const file = path.join(dir.path, "group");
    writeFileSync(file, "root:x:0:\ndocker:x:998:me\n");
    assert.deepEqual(socketAccess({ group: "docker" }, file), { mode: 0o660, gid: 998 });
    assert.deepEqual(socketAccess({ group: "nobody" }, file), { mode: 0o600 });
    assert.deepEqual(socketAccess({ group: "12" }, file), { mode: 0o660, gid: 12 });
    rmSync(file);
    assert.deepEqual(socketAccess({ group: "docker" }, file), { mode: 0o600 });
  });
});

it("parseSizeBytes reads Docker's sizes", () => {
  assert.equal(parseSizeBytes("64M"), 64 * 1024 * 1024);
  assert.equal(parseSizeBytes("1.5g"), 1.5 * 1024 ** 3);
  assert.equal(parseSizeBytes("10kb"), 10_240);
  assert.equal(parseSizeBytes("7"), 7);
  for (const bad of ["", "m", "-1", "1x", "1e3", "0x10"]) {
    assert.equal(parseSizeBytes(bad), undefined, bad);
  }
});

it("onReload reads the configuration again at SIGHUP, and reports a wrong file", async () => {
  const before = process.env["GANTRY_CONFIG"];
  await using dir = await openTempDir("gantry-config-");
  process.env["GANTRY_CONFIG"] = path.join(dir.path, "daemon.json");
  const seen: unknown[] = [];
  using _reload = onReload({
    onConfig: (config) => seen.push(config.labels),
    onProblem: (error) => seen.push((error as EngineError).kind),
  });
  try {
    for (const text of ['{"labels": ["a=b"]}', "{"]) {
      writeFileSync(process.env["GANTRY_CONFIG"], text);
      const signalled = new Promise((resolve) => process.once("SIGHUP", resolve));
      process.kill(process.pid, "SIGHUP");
      await signalled;
    }
  } finally {
    if (before === undefined) delete process.env["GANTRY_CONFIG"];
    else process.env["GANTRY_CONFIG"] = before;
  }
  assert.deepEqual(seen, [["a=b"], "invalid_argument"]);
});
