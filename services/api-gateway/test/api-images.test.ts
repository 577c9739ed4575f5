/** The API over raw HTTP: images, networks and volumes. */
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
    const platforms = ["amd64", "arm64"]
      .map(
        (architecture) =>
          `platform=${encodeURIComponent(JSON.stringify({ os: "linux", architecture }))}`,
      )
      .join("&");
    for (const [version, status] of [
      ["1.51", 400],
      ["1.52", 200],
      ["1.47", 200],
    ] as const) {
      const several = await get(`/v${version}/images/get?names=busybox&${platforms}`);
      assert.equal(several.status, status, version);
      if (status === 400)
        assert.equal(several.json().message, "multiple platform parameters not supported");
    }
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
  it("are found by the name's pattern that clients before 1.41 send", async () => {
    const wanted = async (version: string) => {
      await get(`/v${version}/images/json?filter=busy*`);
      const seen = stack.images.seen.findLast(({ method }) => method === "listImages");
      const { filters } = seen?.request as { filters: { filters: object } };
      return JSON.parse(JSON.stringify(filters.filters, ["reference", "values"])) as unknown;
    };
    assert.deepEqual(await wanted("1.40"), { reference: { values: ["busy*"] } });
    assert.deepEqual(await wanted("1.41"), {});
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
