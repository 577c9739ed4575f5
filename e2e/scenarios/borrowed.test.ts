/** What a container has of others, of its host and of its terminal, as a dockerd 28.5 gives it. */
import assert from "node:assert/strict";
import { after, afterEach, before, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;

before(async () => {
  engine = await TestEngine.start();
  await engine.docker(["network", "create", "street"]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
afterEach(async () => {
  const ids = (await engine.docker(["ps", "-aq"])).split("\n").filter((id) => id !== "");
  for (const id of ids) await engine.docker(["rm", "-f", "-v", id]);
});

const sleep = ["busybox", "sleep", "100000"];

async function inspected(name: string, format: string): Promise<unknown> {
  return JSON.parse(await engine.docker(["inspect", "-f", `{{json ${format}}}`, name]));
}

it("mounts of another container have no mode of their own", async () => {
  const mounts = ["-v", "named:/n:ro", "-v", "/etc:/b:ro,rslave", "-v", "/anonymous"];
  await engine.docker(["create", "--name", "owner", ...mounts, ...sleep]);
  await engine.docker(["create", "--name", "borrower", "--volumes-from", "owner:ro", ...sleep]);
  const shown = (await inspected("borrower", ".Mounts")) as {
    readonly Destination: string;
    readonly Mode: string;
    readonly RW: boolean;
    readonly Propagation: string;
  }[];
  assert.deepEqual(
    shown.map(({ Destination, Mode, RW, Propagation }) => [Destination, Mode, RW, Propagation]),
    [
      ["/anonymous", "", false, ""],
      ["/b", "", false, "rslave"],
      ["/n", "", false, ""],
    ],
  );
});

it("a nameless volume goes with the last container that has it, when that is asked for", async () => {
  const mounts = ["-v", "/anonymous", "-v", "kept:/n", "--mount", "type=volume,dst=/m"];
  await engine.docker(["create", "--name", "owner", ...mounts, ...sleep]);
  await engine.docker(["create", "--name", "borrower", "--volumes-from", "owner", ...sleep]);
  const volumes = async (): Promise<string[]> =>
    (await engine.docker(["volume", "ls", "-q"])).split("\n");
  const before = await volumes();
  await engine.docker(["rm", "-v", "owner"]);
  assert.deepEqual(await volumes(), before);
  await engine.docker(["rm", "-v", "borrower"]);
  assert.equal((await volumes()).length, before.length - 2);
  assert.ok((await volumes()).includes("kept"));
});

it("the name of the one whose network it joins, from its start on", async () => {
  const name = ["--hostname", "house", "--domainname", "example.org"];
  await engine.docker(["run", "-d", "--name", "owner", ...name, ...sleep]);
  await engine.docker(["create", "--name", "guest", "--network", "container:owner", ...sleep]);
  const names = 'printf "%s %s" (slice .Config.Hostname 0 5) .Config.Domainname';
  const own = await engine.docker(["inspect", "-f", "{{slice .Id 0 5}}", "guest"]);
  assert.equal(await inspected("guest", `(${names})`), `${own} `);
  await engine.docker(["start", "guest"]);
  assert.equal(await inspected("guest", `(${names})`), "house example.org");
  const shown = await engine.docker(["exec", "guest", "sh", "-c", "hostname; echo $HOSTNAME"]);
  assert.equal(shown, "house\nhouse");
});

it("the network of another, whatever ports its image exposes", async () => {
  const owner = await engine.docker(["run", "-d", "--name", "owner", ...sleep]);
  await engine.docker(["commit", "-c", "EXPOSE 80 53/udp", owner, "exposing"]);
  const joining = ["--network", "container:owner"];
  await engine.docker(["run", "-d", "--name", "guest", ...joining, "exposing"]);
  const ports = { "53/udp": {}, "80/tcp": {} };
  assert.deepEqual(await inspected("guest", ".Config.ExposedPorts"), ports);
  assert.equal(await inspected("guest", ".State.Running"), true);
  const asked = await engine.tryDocker(["create", ...joining, "--expose", "80", "busybox"]);
  assert.equal(asked.code, 1);
  assert.match(
    asked.stderr,
    /conflicting options: port exposing and the container type network mode/,
  );
});

it("the host's name in the host's network only", async () => {
  const of = async (...options: string[]): Promise<string> => {
    const id = await engine.docker(["run", "-d", ...options, ...sleep]);
    const name = await engine.docker(["exec", id, "sh", "-c", "echo $HOSTNAME; hostname"]);
    return name.replaceAll(id.slice(0, 12), "ID");
  };
  const host = await of("--network", "host");
  const [hostname] = host.split("\n");
  assert.equal(host, `${hostname ?? ""}\n${hostname ?? ""}`);
  assert.equal(await of("--uts", "host"), `ID\n${hostname ?? ""}`);
});

it("links of a network of the user's stand with the endpoint only", async () => {
  await engine.docker(["run", "-d", "--name", "owner", "--network", "street", ...sleep]);
  const link = ["--network", "street", "--link", "owner:dear"];
  await engine.docker(["create", "--name", "linked", ...link, ...sleep]);
  assert.equal(await inspected("linked", ".HostConfig.Links"), null);
  const links = await inspected("linked", ".NetworkSettings.Networks.street.Links");
  assert.deepEqual(links, ["owner:dear"]);
});

it("a terminal's variable for what runs in one", async () => {
  await engine.docker(["run", "-dt", "--name", "terminal", ...sleep]);
  await engine.docker(["run", "-d", "--name", "plain", ...sleep]);
  const term = ["sh", "-c", "echo TERM=$TERM"];
  assert.equal(await engine.docker(["exec", "terminal", ...term]), "TERM=");
  assert.match(await engine.docker(["exec", "-t", "plain", ...term]), /TERM=xterm/);
});
