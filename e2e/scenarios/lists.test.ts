/** Long lists keep their rows encoded: each change shows in the very next list. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);

/** What both views of a container tell. */
interface Row {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image: string;
  readonly State: string;
  readonly Status: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Ports: readonly { readonly PublicPort?: number }[];
  readonly NetworkSettings: { readonly Networks: unknown };
  readonly Mounts: unknown;
}

async function answer<T>(path: string): Promise<T> {
  const { status, body } = await ask(engine, { path: `/v1.52${path}` });
  assert.equal(status, 200, body);
  return JSON.parse(body) as T;
}

async function rows(): Promise<Row[]> {
  return await answer<Row[]>("/containers/json?all=1");
}

async function rowOf(id: string): Promise<Row> {
  const row = (await rows()).find(({ Id }) => Id === id);
  assert.ok(row, `${id} is not listed`);
  return row;
}

/** The row, after it was compared with inspect, which keeps nothing: endpoints have no names in lists. */
async function agreedRow(id: string): Promise<Row> {
  const row = await rowOf(id);
  const whole = await answer<{
    Name: string;
    State: { Status: string };
    NetworkSettings: { Networks: Readonly<Record<string, object>> };
    Mounts: unknown;
  }>(`/containers/${id}/json`);
  assert.ok(row.Names.includes(whole.Name));
  assert.equal(row.State, whole.State.Status);
  const unnamed = Object.entries(whole.NetworkSettings.Networks).map(([name, endpoint]) => [
    name,
    { ...endpoint, ...{ Links: null, Aliases: null, DriverOpts: null, DNSNames: null } },
  ]);
  assert.deepEqual(row.NetworkSettings.Networks, Object.fromEntries(unnamed));
  assert.deepEqual(row.Mounts, whole.Mounts);
  return row;
}

describe("the list of containers", () => {
  it("follows every step of a container's life", async () => {
    const id = await docker(
      ...["create", "--name", "one", "--label", 'odd="Status":"x"', "-p", "127.0.0.1::80"],
      ...["-v", "list-volume:/data", "busybox", "sleep", "1000"],
    );
    const created = await agreedRow(id);
    assert.equal(created.Status, "Created");
    assert.deepEqual(created.Labels, { odd: '"Status":"x"' });
    await docker("start", "one");
    const started = await agreedRow(id);
    assert.match(started.Status, /^Up /);
    assert.ok((started.Ports[0]?.PublicPort ?? 0) > 0);
    await docker("rename", "one", "two");
    assert.deepEqual((await agreedRow(id)).Names, ["/two"]);
    await docker("network", "create", "list-net");
    await docker("network", "connect", "--alias", "also", "list-net", "two");
    assert.deepEqual(Object.keys((await agreedRow(id)).NetworkSettings.Networks as object), [
      "bridge",
      "list-net",
    ]);
    await docker("network", "disconnect", "list-net", "two");
    assert.deepEqual(Object.keys((await agreedRow(id)).NetworkSettings.Networks as object), [
      "bridge",
    ]);
    await docker("pause", "two");
    assert.match((await agreedRow(id)).Status, /\(Paused\)$/);
    await docker("unpause", "two");
    await docker("kill", "two");
    await docker("wait", "two");
    assert.match((await agreedRow(id)).Status, /^Exited \(137\) /);
    assert.deepEqual((await agreedRow(id)).Ports, []);
    await docker("rm", "two");
    assert.deepEqual(await rows(), []);
    await docker("network", "rm", "list-net");
    await docker("volume", "rm", "list-volume");
  });

  it("tells ages that grow, health, links, and an image's name that moves away", async () => {
    await docker("tag", "busybox", "moving:1");
    const healthy = ["--health-cmd", "test -e /well", "--health-interval", "100ms"];
    const id = await docker("run", "-d", "--name", "aged", ...healthy, "moving:1", "sleep", "1000");
    const young = await rowOf(id);
    assert.match(young.Status, /\(health: starting\)|\(unhealthy\)/);
    assert.equal(young.Image, "moving:1");
    await docker("exec", "aged", "touch", "/well");
    await untilPasses(async () => {
      assert.match((await rowOf(id)).Status, /^Up ([2-9]|\d\d+) seconds \(healthy\)$/);
    });
    const linking = await docker("create", "--link", "aged:/alias", "busybox", "true");
    const name = await docker("inspect", "-f", "{{.Name}}", linking);
    assert.ok((await rowOf(id)).Names.includes(`${name}/alias`));
    assert.equal(await docker("inspect", "-f", "{{.Id}}", `${name}/alias`), id);
    await docker("rename", linking, "linking");
    assert.deepEqual((await rowOf(id)).Names.toSorted(), ["/aged", "/linking/alias"]);
    assert.equal(await docker("exec", "linking/alias", "echo", "there"), "there");
    assert.notEqual((await engine.tryDocker(["inspect", `${name}/alias`])).code, 0);
    for (const [what, refusal] of [
      ["linking", "Conflict, cannot remove the default link name of the container"],
      ["linking/other", "No such container: linking/other"],
      ["linking/alias/more", "No such container: linking/alias/more"],
      ["nobody/alias", "No such container: nobody/alias"],
    ] as const) {
      const { stderr } = await engine.tryDocker(["rm", "--link", what]);
      assert.equal(stderr.trim(), `Error response from daemon: ${refusal}`);
    }
    await docker("rm", "--link", "linking/alias");
    assert.notEqual((await engine.tryDocker(["inspect", "linking/alias"])).code, 0);
    await docker("rm", linking);
    await docker("network", "create", "linked");
    const other = ["--network", "linked", "--link", "aged:alias"];
    const elsewhere = await docker("create", "--name", "elsewhere", ...other, "busybox", "true");
    assert.notEqual((await engine.tryDocker(["inspect", "elsewhere/alias"])).code, 0);
    assert.deepEqual((await rowOf(id)).Names, ["/aged"]);
    await docker("rm", elsewhere);
    await docker("network", "rm", "linked");
    await docker("commit", "aged", "moving:1");
    // Told by the other service's events.
    await untilPasses(async () => {
      assert.notEqual((await rowOf(id)).Image, "moving:1");
    });
    await docker("rm", "-f", "aged");
    await docker("rmi", "moving:1");
  });
});

interface ImageRow {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly Size: number;
  readonly Containers: number;
}

describe("the list of images", () => {
  const images = async (): Promise<ImageRow[]> => await answer<ImageRow[]>("/images/json");
  const rowOfImage = async (name: string): Promise<ImageRow> => {
    const row = (await images()).find(({ RepoTags }) => RepoTags.includes(name));
    assert.ok(row, `${name} is not listed`);
    const { Size, RepoTags } = await answer<ImageRow>(`/images/${name}/json`);
    assert.equal(row.Size, Size);
    assert.deepEqual(row.RepoTags, RepoTags);
    return row;
  };

  it("follows names, users, and what is here of an image", async () => {
    const first = await rowOfImage("busybox:latest");
    await docker("tag", "busybox", "listed:1");
    assert.deepEqual((await rowOfImage("listed:1")).RepoTags, ["busybox:latest", "listed:1"]);
    assert.deepEqual(
      await docker("images", "--filter", "reference=listed", "--format", "{{.Repository}}"),
      "listed",
    );
    assert.equal((await rowOfImage("listed:1")).RepoTags.length, 2);
    await docker("create", "--name", "user", "listed:1", "true");
    assert.equal((await rowOfImage("listed:1")).Containers, first.Containers + 1);
    await docker("commit", "user", "grown:1");
    const grown = await rowOfImage("grown:1");
    assert.notEqual(grown.Id, first.Id);
    await docker("rm", "user");
    assert.equal((await rowOfImage("listed:1")).Containers, first.Containers);
    await docker("rmi", "listed:1", "grown:1");
    assert.deepEqual(await rowOfImage("busybox:latest"), first);
    assert.equal((await images()).length, 1);
  });
});
