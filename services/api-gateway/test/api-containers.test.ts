/** The API over raw HTTP: containers. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { created } from "./fakes/created.ts";
import { ask, post, RawClient } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

const get = (path: string) => ask(stack.socket, path);

describe("containers", () => {
  it("are created with warnings as an array", async () => {
    const answer = await post(stack.socket, "/containers/create?name=web", {
      Image: "busybox",
      HostConfig: { Memory: 9007199254740993 },
    });
    assert.match(answer.body, /^\{"Id":"[0-9a-f]{64}","Warnings":\[\]\}\n$/);
    const seen = stack.containers.seen.findLast(({ method }) => method === "createContainer");
    const request = seen?.request as { name: string; apiVersion: string };
    assert.equal(request.name, "web");
    assert.equal(request.apiVersion, "1.52");
  });
  it("of a missing image are a 404", async () => {
    const answer = await post(stack.socket, "/containers/create", { Image: "missing" });
    assert.equal(answer.status, 404);
    assert.equal(answer.json().message, "No such image: missing:latest");
  });
  it("start with 204, then 304 without body or type", async () => {
    const id = await created(stack, ["sleep"]);
    assert.equal((await post(stack.socket, `/containers/${id}/start`)).status, 204);
    const again = await post(stack.socket, `/containers/${id}/start`);
    assert.equal(again.status, 304);
    assert.equal(again.headers["content-type"], undefined);
    assert.equal(again.body, "");
    assert.equal((await post(stack.socket, `/containers/${id}/stop?t=1`)).status, 204);
    assert.equal((await post(stack.socket, `/containers/${id}/stop`)).status, 304);
  });
  it("take an empty object at start and refuse more", async () => {
    const id = await created(stack, ["sleep"]);
    assert.equal(
      (
        await ask(stack.socket, {
          method: "POST",
          path: `/containers/${id}/start`,
          body: '{"a":"bcd"}',
        })
      ).status,
      400,
    );
    assert.equal(
      (await ask(stack.socket, { method: "POST", path: `/containers/${id}/start`, body: "{}\n" }))
        .status,
      204,
    );
  });
  it("refuse numbers that are none", async () => {
    const id = await created(stack, ["sleep"]);
    for (const path of [
      `/containers/${id}/stop?t=soon`,
      `/containers/${id}/resize?h=a&w=1`,
      `/containers/${id}/resize?h=1`,
      `/containers/${id}/resize?h=4294967296&w=1`,
    ]) {
      assert.equal((await post(stack.socket, path)).status, 400, path);
    }
    assert.equal((await get("/containers/json?limit=many")).status, 400);
    const resized = await post(stack.socket, `/containers/${id}/resize?h=4294967295&w=1`);
    assert.equal(resized.status, 200);
  });
  it("take a limit of processes in an update since 1.40", async () => {
    const id = await created(stack, ["sleep"]);
    for (const [version, limit] of [
      ["1.24", undefined],
      ["1.39", undefined],
      ["1.40", 5n],
      ["1.52", 5n],
    ] as const) {
      const path = `/v${version}/containers/${id}/update`;
      assert.equal((await post(stack.socket, path, { PidsLimit: 5 })).status, 200);
      const seen = stack.containers.seen.findLast(({ method }) => method === "updateContainer");
      const { resources } = seen?.request as { resources: { pidsLimit?: bigint } };
      assert.equal(resources.pidsLimit, limit, version);
    }
  });
  it("kill one that doesn't run with 409", async () => {
    const id = await created(stack, ["sleep"]);
    const answer = await post(stack.socket, `/containers/${id}/kill`);
    assert.equal(answer.status, 409);
    assert.equal(answer.json().message, `container ${id} is not running`);
  });
  it("are listed with Docker's booleans and filters", async () => {
    await get("/containers/json?all=TRUE&filters=%7B%22label%22%3A%7B%22a%22%3Atrue%7D%7D");
    const seen = stack.containers.seen.findLast(({ method }) => method === "listContainers");
    const request = seen?.request as {
      all: boolean;
      filters: { filters: Record<string, { values: string[] }> };
    };
    assert.equal(request.all, true);
    assert.deepEqual(request.filters.filters["label"]?.values, ["a"]);
    await get("/containers/json?all=none");
    assert.equal(
      (
        stack.containers.seen.findLast(({ method }) => method === "listContainers")?.request as {
          all: boolean;
        }
      ).all,
      false,
    );
    assert.equal(
      (await get("/containers/json?filters=%7B%22nonsense%22%3A%5B%22x%22%5D%7D")).json().message,
      "invalid filter 'nonsense'",
    );
  });
});

describe("wait", () => {
  it("sends its head before the condition holds, then the code", async () => {
    const id = await created(stack, ["sleep"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      `POST /containers/${id}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n`,
    );
    const head = await client.until((text) => text.includes("\r\n\r\n"));
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(head, /Content-Type: application\/json\r\n/);
    assert.match(head, /Transfer-Encoding: chunked/i);
    assert.doesNotMatch(head, /StatusCode/);
    await post(stack.socket, `/containers/${id}/start`);
    await post(stack.socket, `/containers/${id}/kill`);
    assert.match(
      await client.until((text) => text.endsWith("0\r\n\r\n")),
      /\{"StatusCode":137\}\n/,
    );
    client.socket.destroy();
  });
  async function waiting(condition: string): Promise<{ id: string; client: RawClient }> {
    const id = await created(stack, ["sleep"], {
      HostConfig: { AutoRemove: condition === "removed" },
    });
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      `POST /containers/${id}/wait?condition=${condition} HTTP/1.1\r\nHost: d\r\n\r\n`,
    );
    await client.until((text) => text.includes("\r\n\r\n"));
    await post(stack.socket, `/containers/${id}/start`);
    return { id, client };
  }
  for (const condition of ["next-exit", "removed"]) {
    it(`for ${condition} outlives container-service, and tells an exit that came meanwhile`, async () => {
      const { id, client } = await waiting(condition);
      await stack.containers.stop();
      stack.containers.exit(stack.containers.find(id), 42);
      await stack.restartContainers();
      assert.match(
        await client.until((text) => text.endsWith("0\r\n\r\n")),
        /\{"StatusCode":42\}\n/,
      );
      client.socket.destroy();
    });
    it(`for ${condition} outlives container-service, and tells an exit that comes after`, async () => {
      const { id, client } = await waiting(condition);
      const waits = (): number =>
        stack.containers.seen.filter(({ method }) => method === "waitContainer").length;
      const before = waits();
      await stack.containers.stop();
      await stack.restartContainers();
      await eventually(() => waits() === before + 1);
      stack.containers.exit(stack.containers.find(id), 43);
      assert.match(
        await client.until((text) => text.endsWith("0\r\n\r\n")),
        /\{"StatusCode":43\}\n/,
      );
      client.socket.destroy();
    });
  }
  it("refuses an unknown condition before anything else", async () => {
    const answer = await post(stack.socket, "/containers/none/wait?condition=sometime");
    assert.equal(answer.status, 400);
    assert.equal(answer.json().message, 'invalid condition: "sometime"');
  });
});

describe("logs", () => {
  it("need a stream", async () => {
    const id = await created(stack, ["sleep"]);
    const answer = await get(`/containers/${id}/logs`);
    assert.equal(answer.status, 400);
    assert.equal(answer.json().message, "must specify at least one of 'stdout' or 'stderr'");
  });
  it("carry framed records, and times and tail reach the service", async () => {
    const id = await created(stack, ["sleep"]);
    const answer = await get(`/containers/${id}/logs?stdout=1&since=5.25&until=0&tail=3`);
    assert.equal(answer.headers["content-type"], "application/vnd.docker.multiplexed-stream");
    assert.match(answer.body, /line 1\n$/);
    const request = stack.containers.seen.findLast(({ method }) => method === "openLogs")
      ?.request as { sinceNano: bigint; untilNano: bigint; tail?: bigint };
    assert.equal(request.sinceNano, 5_250_000_000n);
    assert.equal(request.untilNano, 0n);
    assert.equal(request.tail, 3n);
    await get(`/containers/${id}/logs?stdout=1&tail=all`);
    assert.equal(
      (
        stack.containers.seen.findLast(({ method }) => method === "openLogs")?.request as {
          tail?: bigint;
        }
      ).tail,
      undefined,
    );
  });
  it("that are followed send head and data at once, and end with the client", async () => {
    const id = await created(stack, ["sleep"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`GET /containers/${id}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n`);
    await client.until((text) => text.includes("line 1"));
    client.socket.destroy();
  });
});

describe("stats", () => {
  it("write numbers of 64 bits exactly", async () => {
    const id = await created(stack, ["sleep"]);
    const answer = await get(`/containers/${id}/stats?stream=0`);
    assert.match(answer.body, /"limit":18446744073709551615/);
    assert.equal(answer.headers["content-type"], "application/json");
  });
  it("of what is removed before they are there are none", async () => {
    const id = await created(stack, ["sleep"]);
    stack.containers.vanishing.set(id, "removed");
    const answer = await get(`/containers/${id}/stats?stream=0`);
    assert.deepEqual([answer.status, answer.body], [200, ""]);
  });
  it("stream one object a line", async () => {
    const id = await created(stack, ["sleep"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`GET /containers/${id}/stats HTTP/1.1\r\nHost: d\r\n\r\n`);
    await client.until((text) => (text.match(/"preread"/g) ?? []).length === 2);
    client.socket.destroy();
  });
});

describe("archives", () => {
  it("tell a path's stat in a header", async () => {
    const id = await created(stack, ["sleep"]);
    const answer = await ask(stack.socket, {
      method: "HEAD",
      path: `/containers/${id}/archive?path=/etc/passwd`,
    });
    const stat = JSON.parse(
      Buffer.from(String(answer.headers["x-docker-container-path-stat"]), "base64").toString(),
    ) as object;
    assert.deepEqual(stat, {
      name: "passwd",
      size: 12,
      mode: 0o644,
      mtime: "2023-11-14T22:13:20Z",
      linkTarget: "",
    });
    const missing = await get(`/containers/${id}/archive?path=`);
    assert.equal(missing.json().message, "bad parameter: path cannot be empty");
  });
  it("are read and written as streams", async () => {
    const id = await created(stack, ["sleep"]);
    const read = await get(`/containers/${id}/archive?path=/etc`);
    assert.equal(read.headers["content-type"], "application/x-tar");
    assert.equal(read.body, "archive");
    const body = Buffer.alloc(2_000_000, 5);
    const written = await ask(stack.socket, {
      method: "PUT",
      path: `/containers/${id}/archive?path=/x`,
      body,
      headers: { "content-type": "application/x-tar", expect: "100-continue" },
    });
    assert.equal(written.status, 200);
    assert.ok(stack.containers.uploads.at(-1)?.equals(body));
  });
  it("refused before the body is read leave the connection honest", async () => {
    const id = await created(stack, ["sleep"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      `PUT /containers/${id}/archive?path=/file HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    await client.until((text) => text.includes("extraction point is not a directory"));
    assert.doesNotMatch(client.text, /100 Continue/);
    assert.match(client.text, /Connection: close/i);
    await client.untilEnd();
  });
  it("export as a tar", async () => {
    const id = await created(stack, ["sleep"]);
    assert.equal((await get(`/containers/${id}/export`)).body, "tar bytes");
  });
});
