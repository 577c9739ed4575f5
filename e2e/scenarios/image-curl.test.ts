/** ImageService and ContentService by curl with JSON, as a program without our code would call them. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { digestOf, makeImage, makeLayer, putImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { cleanEnvironment, run } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

type Json = Readonly<Record<string, unknown>>;

/** What curl got, with `body` as its input, and its exit code. */
async function curl(method: string, contentType: string, body: string | Uint8Array) {
  const socket = path.join(engine.runRoot, "docker.sock");
  const url = `http://gantry/gantry.image.v1.${method}`;
  const file = path.join(engine.root, "answer");
  const { code, stderr } = await run(
    [
      ...["curl", "-sS", "--fail-with-body", "--unix-socket", socket, "-o", file],
      ...["-H", `content-type: ${contentType}`, "--data-binary", "@-", url],
    ],
    { env: cleanEnvironment(), input: body },
  );
  return { code, stderr, answer: await readFile(file) };
}

async function call(method: string, body: object): Promise<Json> {
  const { code, stderr, answer } = await curl(method, "application/json", JSON.stringify(body));
  assert.equal(code, 0, answer.toString() + stderr);
  return JSON.parse(answer.toString()) as Json;
}

/** A message of a stream: a byte of flags, its length in four bytes, JSON. */
function enveloped(message: object): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

/** All messages of a stream; the last one, with its flag set, is the stream's end. */
async function stream(method: string, body: object): Promise<{ messages: Json[]; end: Json }> {
  const { answer: bytes } = await curl(method, "application/connect+json", enveloped(body));
  const messages: Json[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32BE(at + 1);
    const message = JSON.parse(bytes.subarray(at + 5, at + 5 + size).toString()) as Json;
    if ((bytes[at] ?? 0) & 2) return { messages, end: message };
    messages.push(message);
    at += 5 + size;
  }
  throw new Error("the stream has no end");
}

describe("curl with JSON", () => {
  it("lists images", async () => {
    const { images } = (await call("ImageService/ListImages", {})) as { images: Json[] };
    const id = await engine.docker(["images", "-q", "--no-trunc", "busybox"]);
    assert.deepEqual(
      images.map(({ id: found, repoTags }) => [found, repoTags]),
      [[id, ["busybox:latest"]]],
    );
    const filters = { filters: { dangling: { values: ["true"] } } };
    assert.deepEqual(await call("ImageService/ListImages", { filters }), {});
  });

  it("streams a pull's progress, reads what came, and removes it", async () => {
    await using registry = await startRegistry({ dir: path.join(engine.root, "curl-registry") });
    const layer = await makeLayer([{ header: { name: "file" }, content: "by curl" }]);
    const image = makeImage({ layers: [layer] });
    await putImage(registry.host, "curled", "1", image);
    const reference = `${registry.host}/curled`;
    const { messages, end } = await stream("ImageService/PullImage", { reference, tag: "1" });
    assert.deepEqual(end, {});
    const progress = messages.map((message) => message["progress"] as Json);
    assert.deepEqual(progress[0], { id: "1", status: "Pulling from curled" });
    assert.ok(progress.some(({ status }) => status === "Pull complete"));
    assert.deepEqual(
      progress.slice(-2).map(({ status }) => status),
      [
        `Digest: ${image.manifestDigest}`,
        `Status: Downloaded newer image for ${registry.host}/curled:1`,
      ],
    );
    const digest = digestOf(image.config);
    const read = await stream("ContentService/ReadBlob", { digest, offsetBytes: "1" });
    const bytes = read.messages.map(({ data }) => Buffer.from(String(data), "base64"));
    assert.deepEqual(Buffer.concat(bytes), Buffer.from(image.config.subarray(1)));
    const { removed } = await call("ImageService/RemoveImage", { image: `${reference}:1` });
    assert.deepEqual(removed, [{ untagged: `${reference}:1` }, { deleted: image.manifestDigest }]);
  });

  it("is told of errors by code and in Docker's words, before and in a stream", async () => {
    const refused = await curl("ImageService/InspectImage", "application/json", '{"image":"none"}');
    assert.notEqual(refused.code, 0);
    const error = JSON.parse(refused.answer.toString()) as Json;
    assert.equal(error["code"], "not_found");
    assert.equal(error["message"], "No such image: none:latest");
    const { end } = await stream("ImageService/PullImage", { reference: "127.0.0.1:1/x" });
    assert.match(JSON.stringify(end), /dial tcp 127\.0\.0\.1:1: connect: connection refused/);
  });
});
