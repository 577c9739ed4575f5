/** The API over raw HTTP: statuses, headers, bodies. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
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

async function created(cmd: string[], fields: object = {}, query = ""): Promise<string> {
  const answer = await post(stack.socket, `/containers/create${query}`, {
    Image: "busybox",
    Cmd: cmd,
    ...fields,
  });
  assert.equal(answer.status, 201, answer.body);
  return (answer.json() as { Id: string }).Id;
}

describe("every answer of a known route", () => {
  it("carries Docker's headers, errors too", async () => {
    for (const path of ["/_ping", "/version", "/containers/none/json", "/swarm"]) {
      const { headers } = await get(path);
      assert.equal(headers["api-version"], "1.52", path);
      assert.equal(headers["ostype"], "linux", path);
      assert.equal(headers["server"], "Docker/29.0.0 (linux)", path);
      assert.equal(headers["docker-experimental"], "false", path);
    }
  });
  it("is JSON without charset when it is an error", async () => {
    const answer = await get("/containers/none/json");
    assert.equal(answer.status, 404);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.body, '{"message":"No such container: none"}\n');
  });
});

describe("versions", () => {
  it("too new and too old ones are refused in Docker's words", async () => {
    const recent = await get("/v1.99/version");
    assert.equal(recent.status, 400);
    assert.equal(recent.headers["docker-experimental"], undefined);
    assert.equal(
      recent.json().message,
      "client version 1.99 is too new. Maximum supported API version is 1.52",
    );
    const old = await get("/v1.11/version");
    assert.equal(old.status, 400);
    assert.equal(old.headers["content-type"], "text/plain; charset=utf-8");
    assert.equal(
      old.body,
      "client version 1.11 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n",
    );
  });
  it("are compared by number", async () => {
    assert.equal((await get("/v1.9/version")).status, 400);
    assert.equal((await get("/v1.24/version")).status, 200);
    assert.equal((await get("/v1.52/version")).status, 200);
    assert.equal((await get("/v1.52.1/version")).status, 400);
    assert.equal((await get("/v2.0/version")).status, 400);
  });
  it("before a route's first one are refused", async () => {
    const answer = await get("/v1.24/system/df");
    assert.equal(answer.status, 400);
    assert.equal(answer.json().message, "GET /system/df requires minimum API version 1.25");
  });
});

describe("routing", () => {
  it("answers 404 page not found for unknown paths and wrong methods, without Docker's headers", async () => {
    for (const answer of [
      await get("/nonesuch"),
      await ask(stack.socket, { method: "DELETE", path: "/version" }),
    ]) {
      assert.equal(answer.status, 404);
      assert.equal(answer.body, '{"message":"page not found"}\n');
      assert.equal(answer.headers["api-version"], undefined);
      assert.notEqual(answer.headers["server"], "Docker/29.0.0 (linux)");
    }
  });
  it("redirects a path with an empty segment, version and query kept", async () => {
    const answer = await ask(stack.socket, {
      method: "POST",
      path: "/v1.41/containers//start?a=b",
    });
    assert.equal(answer.status, 301);
    assert.equal(answer.headers.location, "/v1.41/containers/start?a=b");
  });
  it("takes escaped slashes, and names that begin with one", async () => {
    const id = await created(["x"], {}, "?name=slashed");
    assert.equal((await get("/containers//slashed/json")).json().Id, id);
    assert.equal((await get("/containers/%2Fslashed/json")).json().Id, id);
    assert.equal((await get("/containers/%ff/json")).status, 400);
  });
  it("answers OPTIONS on any path with an empty 200", async () => {
    for (const path of ["/anything", "*"]) {
      const answer = await ask(stack.socket, { method: "OPTIONS", path });
      assert.equal(answer.status, 200);
      assert.equal(answer.body, "");
    }
  });
});

describe("ping", () => {
  it("answers OK by GET and nothing by HEAD", async () => {
    const byGet = await get("/_ping");
    assert.equal(byGet.body, "OK");
    assert.equal(byGet.headers["content-type"], "text/plain; charset=utf-8");
    assert.equal(byGet.headers["cache-control"], "no-cache, no-store, must-revalidate");
    assert.equal(byGet.headers.pragma, "no-cache");
    assert.equal(byGet.headers["swarm"], "inactive");
    const byHead = await ask(stack.socket, { method: "HEAD", path: "/_ping" });
    assert.equal(byHead.headers["content-length"], "0");
  });
});

describe("JSON bodies", () => {
  const create = (body: string, headers: Record<string, string> = {}) =>
    ask(stack.socket, { method: "POST", path: "/containers/create", body, headers });
  const cases: readonly (readonly [string, string, Record<string, string>, string])[] = [
    [
      "a wrong content type",
      "{}",
      { "content-type": "text/plain" },
      "unsupported Content-Type header (text/plain): must be 'application/json'",
    ],
    ["trailing data", "{} {}", {}, "unexpected content after JSON"],
    ["malformed JSON", "{", {}, "invalid JSON: unexpected EOF"],
    ["an array", "[]", {}, "invalid JSON: expected an object"],
    [
      "two spellings of one field",
      '{"Image":"a","image":"b"}',
      {},
      'invalid JSON: "Image" and "image" are the same field Image',
    ],
    [
      "a string for a number",
      '{"HostConfig":{"Memory":"1g"}}',
      {},
      "invalid JSON: HostConfig.Memory: expected an integer, got string",
    ],
    ["no body", "", {}, "config cannot be empty in order to create a container"],
    ["null", "null", {}, "config cannot be empty in order to create a container"],
  ];
  for (const [name, body, headers, message] of cases) {
    it(`with ${name} are refused`, async () => {
      const answer = await create(body, headers);
      assert.equal(answer.status, 400, answer.body);
      assert.equal(answer.json().message, message);
    });
  }
  it("with unknown fields, other cases, and a charset are taken", async () => {
    const answer = await create('{"image":"busybox","Nonsense":{"a":[1]}}', {
      "content-type": "application/json; charset=utf-8",
    });
    assert.equal(answer.status, 201, answer.body);
  });
  it("may be sent after 100 Continue", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 19\r\nExpect: 100-continue\r\n\r\n",
    );
    await client.until((text) => text.includes("100 Continue\r\n\r\n"));
    client.socket.write('{"Image":"busybox"}');
    await client.until((text) => text.includes("201 Created"));
    client.socket.destroy();
  });
});

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
    const id = await created(["sleep"]);
    assert.equal((await post(stack.socket, `/containers/${id}/start`)).status, 204);
    const again = await post(stack.socket, `/containers/${id}/start`);
    assert.equal(again.status, 304);
    assert.equal(again.headers["content-type"], undefined);
    assert.equal(again.body, "");
    assert.equal((await post(stack.socket, `/containers/${id}/stop?t=1`)).status, 204);
    assert.equal((await post(stack.socket, `/containers/${id}/stop`)).status, 304);
  });
  it("take an empty object at start and refuse more", async () => {
    const id = await created(["sleep"]);
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
    const id = await created(["sleep"]);
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
  it("kill one that doesn't run with 409", async () => {
    const id = await created(["sleep"]);
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
    const id = await created(["sleep"]);
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
    const id = await created(["sleep"], { HostConfig: { AutoRemove: condition === "removed" } });
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
    const id = await created(["sleep"]);
    const answer = await get(`/containers/${id}/logs`);
    assert.equal(answer.status, 400);
    assert.equal(answer.json().message, "must specify at least one of 'stdout' or 'stderr'");
  });
  it("carry framed records, and times and tail reach the service", async () => {
    const id = await created(["sleep"]);
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
    const id = await created(["sleep"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`GET /containers/${id}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n`);
    await client.until((text) => text.includes("line 1"));
    client.socket.destroy();
  });
});

describe("stats", () => {
  it("write numbers of 64 bits exactly", async () => {
    const id = await created(["sleep"]);
    const answer = await get(`/containers/${id}/stats?stream=0`);
    assert.match(answer.body, /"limit":18446744073709551615/);
    assert.equal(answer.headers["content-type"], "application/json");
  });
  it("stream one object a line", async () => {
    const id = await created(["sleep"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`GET /containers/${id}/stats HTTP/1.1\r\nHost: d\r\n\r\n`);
    await client.until((text) => (text.match(/"preread"/g) ?? []).length === 2);
    client.socket.destroy();
  });
});

describe("archives", () => {
  it("tell a path's stat in a header", async () => {
    const id = await created(["sleep"]);
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
    const id = await created(["sleep"]);
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
    const id = await created(["sleep"]);
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
    const id = await created(["sleep"]);
    assert.equal((await get(`/containers/${id}/export`)).body, "tar bytes");
  });
});

describe("images", () => {
  it("are pulled with objects separated by CRLF, chunked", async () => {
    const answer = await post(stack.socket, "/images/create?fromImage=busybox&tag=latest");
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.headers["transfer-encoding"], "chunked");
    const lines = answer.body.split("\r\n");
    assert.equal(lines.pop(), "");
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { status: string }).status)[1],
      "Downloading",
    );
  });
  it("answer an error before the first byte with its status, a later one in-band", async () => {
    const early = await post(stack.socket, "/images/create?fromImage=secret&tag=latest");
    assert.equal(early.status, 404);
    const late = await post(stack.socket, "/images/create?fromImage=broken&tag=latest");
    assert.equal(late.status, 200);
    assert.match(
      late.body,
      /\{"errorDetail":\{"message":"connection reset \\u003cby peer\\u003e"\},"error":"connection reset \\u003cby peer\\u003e"\}\r\n$/,
    );
  });
  it("stop being pulled when the client goes", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      "POST /images/create?fromImage=endless&tag=x HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n",
    );
    await client.until((text) => text.includes("Downloading"));
    client.socket.destroy();
    await eventually(() => stack.images.canceled === 1);
  });
  it("take the credential of the header and the platform", async () => {
    const auth = Buffer.from(JSON.stringify({ username: "u", password: "p" })).toString(
      "base64url",
    );
    await ask(stack.socket, {
      method: "POST",
      path: "/images/create?fromImage=busybox&tag=1&platform=linux%2Farm64%2Fv8",
      headers: { "x-registry-auth": auth },
    });
    const request = stack.images.seen.findLast(({ method }) => method === "pullImage")?.request as {
      auth: { username: string };
      platform: { architecture: string };
    };
    assert.equal(request.auth.username, "u");
    assert.equal(request.platform.architecture, "arm64");
  });
  it("are loaded from a chunked body and saved as a tar", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      "POST /images/load?quiet=0 HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    await client.until((text) => text.includes("Loaded image: hello:latest\\n"));
    assert.equal(String(stack.images.uploads.at(-1)), "hello");
    client.socket.destroy();
    const saved = await get("/images/get?names=busybox&names=other");
    assert.equal(saved.body.length, 1_000_000);
    assert.deepEqual(
      (
        stack.images.seen.findLast(({ method }) => method === "saveImages")?.request as {
          images: string[];
        }
      ).images,
      ["busybox", "other"],
    );
    assert.equal((await get("/images/a/b:c/get")).status, 200);
  });
  it("are listed and inspected by version", async () => {
    const list = (await get("/v1.43/images/json")).json() as Record<string, unknown>[];
    assert.equal(list[0]?.["VirtualSize"], 4_000_000);
    assert.equal(list[0]?.["Containers"], -1);
    assert.equal((await get("/images/busybox:latest/json")).json().Author, "me");
    assert.equal((await get("/images/nosuch/json")).json().message, "No such image: nosuch:latest");
  });
  it("log in with the registry's answer", async () => {
    assert.equal(
      (await post(stack.socket, "/auth", { username: "u", password: "wrong" })).status,
      401,
    );
    assert.equal(
      (await post(stack.socket, "/auth", { username: "u", password: "right" })).body,
      '{"Status":"Login Succeeded","IdentityToken":""}\n',
    );
  });
});

describe("networks and volumes", () => {
  it("are created, listed and inspected", async () => {
    const network = await post(stack.socket, "/networks/create", {
      Name: "n1",
      IPAM: { Config: [{ Subnet: "172.18.0.0/16" }] },
    });
    assert.equal(network.status, 201);
    assert.equal(network.json().Warning, "");
    assert.equal((await get("/networks")).json().length, 1);
    assert.equal((await get("/networks/")).json().length, 1);
    const inspected = await get("/networks/n1");
    assert.equal(inspected.json().Status.IPAM.Subnets["172.18.0.0/16"].DynamicIPsAvailable, 65_533);
    assert.equal((await get("/v1.51/networks/n1")).json().Status, undefined);
    assert.equal((await get("/networks/none")).json().message, "network none not found");
  });
  it("empty lists have Docker's form", async () => {
    assert.equal((await get("/volumes")).body, '{"Volumes":[],"Warnings":null}\n');
    assert.equal(
      (await post(stack.socket, "/containers/prune")).body,
      '{"ContainersDeleted":null,"SpaceReclaimed":0}\n',
    );
    assert.equal(
      (await post(stack.socket, "/volumes/prune")).body,
      '{"VolumesDeleted":[],"SpaceReclaimed":0}\n',
    );
    assert.equal((await get("/plugins")).body, "[]\n");
  });
  it("volumes are created without a body, and removed by force when missing", async () => {
    const answer = await post(stack.socket, "/volumes/create");
    assert.equal(answer.status, 201);
    assert.match(
      answer.body,
      /^\{"CreatedAt":"2023-11-14T22:13:20Z","Driver":"local","Labels":null,"Mountpoint":"\/v","Name":"[0-9a-f]{64}","Options":null,"Scope":"local"\}\n$/,
    );
    assert.equal(
      (await ask(stack.socket, { method: "DELETE", path: "/volumes/none" })).status,
      404,
    );
    assert.equal(
      (await ask(stack.socket, { method: "DELETE", path: "/volumes/none?force=1" })).status,
      204,
    );
  });
  it("volume prune takes all named ones below 1.42", async () => {
    const all = (): boolean =>
      (
        stack.containers.seen.findLast(({ method }) => method === "pruneVolumes")?.request as {
          all: boolean;
        }
      ).all;
    await post(stack.socket, "/v1.41/volumes/prune");
    assert.equal(all(), true);
    await post(stack.socket, "/v1.42/volumes/prune");
    assert.equal(all(), false);
    await post(stack.socket, '/volumes/prune?filters={"all":["true"]}');
    assert.equal(all(), true);
  });
});

describe("what isn't there", () => {
  const cases: readonly (readonly [string, string, number, RegExp])[] = [
    ["GET", "/swarm", 503, /^This node is not a swarm manager\. Use "docker swarm init"/],
    ["GET", "/services", 503, /not a swarm manager/],
    ["POST", "/swarm/leave", 503, /^This node is not part of a swarm$/],
    ["GET", "/plugins/x/json", 404, /^plugin "x" not found$/],
    [
      "GET",
      "/containers/x/checkpoints",
      501,
      /^This experimental feature is disabled by default\./,
    ],
    ["GET", "/images/x/attestations", 400, /requires minimum API version 1\.55$/],
  ];
  for (const [method, path, status, message] of cases) {
    it(`${method} ${path} says so with ${String(status)}`, async () => {
      const answer = await ask(stack.socket, { method, path });
      assert.equal(answer.status, status, answer.body);
      assert.match(answer.json().message as string, message);
    });
  }
});

describe("system", () => {
  it("df has usage objects from 1.52 on, and the types asked for", async () => {
    const old = (await get("/v1.41/system/df")).json();
    assert.deepEqual(Object.keys(old), [
      "LayersSize",
      "Images",
      "Containers",
      "Volumes",
      "BuildCache",
    ]);
    const recent = (await get("/system/df?type=image&verbose=1")).json();
    assert.equal(recent.ImageUsage.TotalCount, 1);
    assert.equal("ContainerUsage" in recent, false);
    assert.equal((await get("/system/df?type=nonsense")).status, 400);
  });
  it("info joins both services", async () => {
    const info = (await get("/info")).json();
    assert.equal(info.Images, 1);
    assert.equal(info.ServerVersion, "29.0.0");
    assert.deepEqual(info.Swarm.LocalNodeState, "inactive");
  });
});

it("a big download to a slow reader arrives unharmed, and is cut when the service fails", async () => {
  const client = await RawClient.connect(stack.socket);
  client.socket.pause();
  client.socket.write("GET /images/get?names=big HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
  await eventually(() => stack.images.saving > 0);
  client.socket.resume();
  const text = await client.untilEnd();
  assert.ok(text.endsWith("\r\n0\r\n\r\n"));
  const body = dechunk(client.received.subarray(client.received.indexOf("\r\n\r\n") + 4));
  assert.equal(body.length, 16 * 1024 * 1024);
  assert.equal(createHash("sha256").update(body).digest("hex"), stack.images.bigDigest);
  const broken = await RawClient.connect(stack.socket);
  broken.socket.write("GET /images/get?names=broken HTTP/1.1\r\nHost: d\r\n\r\n");
  const cut = await broken.untilEnd();
  assert.match(cut, /^HTTP\/1\.1 200 /);
  assert.ok(!cut.endsWith("0\r\n\r\n"), "a cut tar must not look complete");
});

function dechunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf("\r\n", at);
    const size = Number.parseInt(bytes.toString("latin1", at, line), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
