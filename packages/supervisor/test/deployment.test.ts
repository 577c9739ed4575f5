/** deploy/ says by hand what the supervisor does: each is held against the other here. */
import assert from "node:assert/strict";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { cleanEnvironment, engineEnvironment, loadConfig, wakeSocketPath } from "@gantry/config";
import { openTempDir } from "@gantry/fs";
import { openEngineRoots, run } from "@gantry/testkit";
import { repository } from "@gantry/testkit/test-engine";
import { natsProgram } from "../src/nats-program.ts";
import { onDemandServices, type Program, serviceOrder, serviceProgram } from "../src/program.ts";

const folder = path.join(repository, "deploy/systemd");
/** Where deploy/README.md has everything copied. */
const installed = "/usr/lib/gantry";
/** What the packages that deploy/README.md names, and Debian's essential ones, bring. */
const debianPrograms = ["/usr/bin/curl", "/bin/true", "/bin/sh", "/usr/sbin/nats-server"];
const units = readdirSync(folder).filter((name) => name.startsWith("gantry"));
const config = loadConfig({ GANTRY_CONFIG: "/nonexistent" });
const services = [...serviceOrder, ...onDemandServices];

/** Values of one setting of a unit, in their order. */
function settings(unit: string, name: string): string[] {
  return readFileSync(path.join(folder, unit), "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${name}=`))
    .map((line) => line.slice(name.length + 1));
}

/** The environment that a unit sets. */
function environment(unit: string): Record<string, string> {
  return Object.fromEntries(
    settings(unit, "Environment").map((each) => {
      const [name = "", ...value] = each.split("=");
      return [name, value.join("=")];
    }),
  );
}

/** Where the repository has what is copied to a path below /usr/lib/gantry. */
function source(file: string): string {
  const name = path.relative(installed, file);
  return name === "bin/node" ? process.execPath : path.join(repository, name);
}

/** The files of ours that a unit names. */
function ownFiles(unit: string): string[] {
  const text = readFileSync(path.join(folder, unit), "utf8");
  return text.match(/\/usr\/lib\/gantry\/[\w./-]+/g) ?? [];
}

/** What a program's environment has beside what all have. */
function ownEnvironment(program: Program, all: Readonly<Record<string, string>>): object {
  return Object.fromEntries(Object.entries(program.env).filter(([name]) => !(name in all)));
}

/** Lays a machine's folders out, with empty programs: systemd asks whether they can be executed. */
function layOut(root: string): string[] {
  cpSync("/usr/lib/systemd/system", path.join(root, "usr/lib/systemd/system"), {
    recursive: true,
    verbatimSymlinks: true,
  });
  const own = path.join(root, "etc/systemd/system");
  mkdirSync(own, { recursive: true });
  for (const unit of units) cpSync(path.join(folder, unit), path.join(own, unit));
  const put = (file: string, mode: number): void => {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), "");
    chmodSync(path.join(root, file), mode);
  };
  for (const file of debianPrograms) put(file, 0o755);
  for (const file of units.flatMap(ownFiles)) put(file, statSync(source(file)).mode);
  return units;
}

describe("the systemd units", () => {
  it("are right in systemd's own eyes, with all programs where they are", async () => {
    await using root = await openTempDir("gantry-units-");
    const names = layOut(root.path);
    const command = ["systemd-analyze", `--root=${root.path}`, "--man=no", "verify", ...names];
    const { code, stdout, stderr } = await run(command);
    assert.deepEqual({ code, said: stdout + stderr }, { code: 0, said: "" });
  });

  it("name only files that the build makes, or that are in the repository", () => {
    const missing = units.flatMap(ownFiles).filter((file) => !existsSync(source(file)));
    assert.deepEqual(missing, []);
  });

  for (const name of services) {
    const unit = `gantry-${name}.service`;
    const program = serviceProgram(config, path.join(installed, "dist"), name);

    it(`start ${name} as the supervisor does`, () => {
      const [, ...args] = program.command();
      assert.deepEqual(settings(unit, "ExecStart"), [`${installed}/bin/node ${args.join(" ")}`]);
      const cache = settings(unit, "CacheDirectory").map((each) => path.join("/var/cache", each));
      assert.deepEqual(environment(unit), {
        ...ownEnvironment(program, engineEnvironment(config)),
        NODE_COMPILE_CACHE: `${cache.join()}/compile`,
      });
      const ends = program.endsByItself === true;
      assert.deepEqual(settings(unit, "Restart"), [ends ? "on-failure" : "always"]);
    });
  }

  it("start NATS as the supervisor does, with the same configuration", async () => {
    await using roots = await openEngineRoots();
    const { runRoot, dataRoot } = roots.config;
    const conf = path.join(runRoot, "nats.conf");
    const read = (): string =>
      readFileSync(conf, "utf8").replace(/password: "[\w=-]{32}"/, "password: <any>");
    const program = natsProgram(roots.config, "/usr/sbin/nats-server");
    const [server = "", ...args] = program.command();
    const wanted = read();
    const env = { ...cleanEnvironment(), GANTRY_RUN_ROOT: runRoot, GANTRY_DATA_ROOT: dataRoot };
    const setUp = await run([path.join(folder, "nats-setup"), "prepare"], { env });
    assert.deepEqual({ code: setUp.code, stderr: setUp.stderr }, { code: 0, stderr: "" });
    assert.equal(read(), wanted);
    const unit = "gantry-nats.service";
    const command = [server, ...args].join(" ").replace(runRoot, config.runRoot);
    assert.deepEqual(settings(unit, "ExecStart"), [command]);
    assert.deepEqual(environment(unit), ownEnvironment(program, cleanEnvironment()));
  });

  it("hold the sockets that clients and services know", () => {
    assert.deepEqual(settings("gantry-api-gateway.socket", "ListenStream"), [config.dockerSocket]);
    for (const name of onDemandServices)
      assert.deepEqual(settings(`gantry-${name}.socket`, "ListenStream"), [
        wakeSocketPath(config, name),
      ]);
  });

  it("are all wanted by the target, but what a socket starts, and end with it", () => {
    const wanted = settings("gantry.target", "Wants").flatMap((each) => each.split(" "));
    const started = onDemandServices.map((name) => `gantry-${name}.service`);
    const rest = units.filter((unit) => !/\.(target|slice)$/.test(unit));
    assert.deepEqual([...wanted, ...started].sort(), [...rest].sort());
    for (const unit of rest) assert.deepEqual(settings(unit, "PartOf"), ["gantry.target"], unit);
  });
});

describe("the images", () => {
  for (const [file, name] of [
    ["base", "container-service"],
    ["build-service", "build-service"],
  ] as const)
    it(`start ${name} as the supervisor does (${file}.Dockerfile)`, () => {
      const dockerfile = path.join(repository, `deploy/docker/${file}.Dockerfile`);
      const text = readFileSync(dockerfile, "utf8");
      const [, entrypoint = ""] = /^ENTRYPOINT (.*)$/m.exec(text) ?? [];
      const program = serviceProgram(config, path.join(installed, "dist"), name);
      const args = program.command().slice(1, -1);
      assert.deepEqual(JSON.parse(entrypoint), [`${installed}/bin/node`, ...args]);
    });
});
