/** The API over raw HTTP: what all answers have in common. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { created } from "./fakes/created.ts";
import { ask, RawClient } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

const get = (path: string) => ask(stack.socket, path);

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
    assert.equal(old.headers["x-content-type-options"], "nosniff");
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
    const id = await created(stack, ["x"], {}, "?name=slashed");
    assert.equal((await get("/containers//slashed/json")).json().Id, id);
    assert.equal((await get("/containers/%2Fslashed/json")).json().Id, id);
    assert.equal((await get("/containers/%ff/json")).status, 400);
  });
  it("answers OPTIONS on any path with an empty 200", async () => {
    for (const path of ["/", "/anything", "*"]) {
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
    ["no body", "", {}, "invalid JSON: got EOF while reading request body"],
    ["a blank body", " \n", {}, "invalid JSON: got EOF while reading request body"],
    ["null", "null", {}, "config cannot be empty in order to create a container"],
  ];
  for (const [name, body, headers, message] of cases) {
    it(`with ${name} are refused`, async () => {
      const answer = await create(body, headers);
      assert.equal(answer.status, 400, answer.body);
      assert.equal(answer.json().message, message);
    });
  }
  it("with closing brackets and whatever follows them are taken, as a stream's decoder does", async () => {
    for (const behind of ["}", "]", " }", "}}x"]) {
      const answer = await create(`{"Image":"busybox"}${behind}`);
      assert.equal(answer.status, 201, answer.body);
    }
  });
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
    assert.deepEqual(Object.keys(info.RuncCommit), ["ID"]);
    const { RuncCommit: old } = (await get("/v1.48/info")).json();
    assert.deepEqual(old, { ID: info.RuncCommit.ID, Expected: info.RuncCommit.ID });
  });
});
