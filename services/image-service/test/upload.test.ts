import assert from "node:assert/strict";
import type http from "node:http";
import { describe, it } from "node:test";
import { digestOf } from "@gantry/testkit/image-maker";
import { type FakeRegistry, startFakeRegistry } from "./fake-registry.ts";
import { load, openImageService, type TestService } from "./image-client.ts";
import { archiveOf, twoLayers } from "./sample-images.ts";

async function bodyOf(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

interface UploadOptions {
  /** Answers a whole upload with this status. */
  readonly wholeStatus?: number;
  /** Where uploads are to go; default here. */
  readonly place?: (id: number) => string;
  /** Whether a blob may be mounted from another repository. */
  readonly mounts?: boolean;
}

/** Makes the registry take uploads, and tells what became of them. */
function takeUploads(registry: FakeRegistry, options: UploadOptions = {}): Map<string, Buffer> {
  const parts = new Map<string, Buffer[]>();
  const taken = new Map<string, Buffer>();
  let count = 0;
  registry.answer = async (request, response) => {
    const url = new URL(request.url ?? "", `http://${registry.host}`);
    if (request.method === "HEAD") {
      response.writeHead(taken.has(url.pathname.split("/").at(-1) ?? "") ? 200 : 404).end();
    } else if (request.method === "POST" && url.searchParams.has("mount") && options.mounts) {
      response.writeHead(201, { location: url.pathname }).end();
    } else if (request.method === "POST") {
      count += 1;
      parts.set(`/up/${count}`, []);
      const location = options.place?.(count) ?? `/up/${count}?state=s${count}`;
      response.writeHead(202, { location }).end();
    } else if (request.method === "PATCH") {
      const held = parts.get(url.pathname) ?? [];
      const size = held.reduce((sum, { length }) => sum + length, 0);
      const body = await bodyOf(request);
      assert.equal(request.headers["content-range"], `${size}-${size + body.length - 1}`);
      held.push(body);
      response.writeHead(202, { location: `${url.pathname}?state=more` }).end();
    } else if (request.method === "PUT" && url.pathname.startsWith("/up/")) {
      const body = await bodyOf(request);
      if (body.length > 0 && options.wholeStatus !== undefined) {
        response.writeHead(options.wholeStatus).end();
        return true;
      }
      assert.ok(url.searchParams.get("state"));
      const whole = Buffer.concat([...(parts.get(url.pathname) ?? []), body]);
      const digest = url.searchParams.get("digest") ?? "";
      assert.equal(digestOf(whole), digest);
      taken.set(digest, whole);
      response.writeHead(201).end();
    } else if (request.method === "PUT") {
      taken.set(url.pathname.split("/").at(-1) ?? "", await bodyOf(request));
      response.writeHead(201).end();
    } else if (request.method === "DELETE") response.writeHead(204).end();
    else response.writeHead(404).end();
    return true;
  };
  return taken;
}

async function push(service: TestService, reference: string): Promise<string[]> {
  const words: string[] = [];
  for await (const { progress } of service.images.pushImage({ reference, tag: "1" })) {
    if (progress !== undefined) words.push(progress.status);
  }
  return words;
}

describe("push", () => {
  it("sends each blob whole, and in pieces where a registry does not take it whole", async () => {
    await using service = await openImageService();
    const image = await twoLayers();
    for (const wholeStatus of [undefined, 413, 500]) {
      await using registry = await startFakeRegistry();
      const taken = takeUploads(registry, wholeStatus === undefined ? {} : { wholeStatus });
      const name = `${registry.host}/x/y`;
      await load(service, await archiveOf(image, `${name}:1`));
      const words = await push(service, name);
      assert.match(words.at(-1) ?? "", /^1: digest: sha256:/);
      const { image: ours } = await service.images.inspectImage({ image: `${name}:1` });
      assert.equal(digestOf(taken.get("1") ?? Buffer.alloc(0)), ours?.id);
      // Two layers and the config.
      assert.equal([...taken.keys()].filter((key) => key.startsWith("sha256:")).length, 3);
      const patches = registry.seen.filter(({ method }) => method === "PATCH").length;
      assert.equal(patches > 0, wholeStatus !== undefined);
    }
  });

  it("mounts what another repository of the registry has, and uploads it when that fails", async () => {
    await using service = await openImageService();
    const image = await twoLayers();
    for (const mounts of [true, false]) {
      await using registry = await startFakeRegistry();
      const name = `${registry.host}/first`;
      takeUploads(registry);
      await load(service, await archiveOf(image, `${name}:1`, `${registry.host}/second:1`));
      await push(service, name);
      takeUploads(registry, { mounts });
      registry.seen.length = 0;
      const words = await push(service, `${registry.host}/second`);
      const mounted = words.filter((word) => word === "Mounted from first");
      const pushed = words.filter((word) => word === "Pushed");
      assert.deepEqual([mounted.length, pushed.length], mounts ? [2, 0] : [0, 2]);
      const asked = registry.seen.filter(({ url }) => url.includes("from=first"));
      assert.ok(asked.length > 0);
      // What the failed mount began instead is taken back.
      assert.equal(
        registry.seen.some(({ method }) => method === "DELETE"),
        !mounts,
      );
    }
  });

  it("sends nothing to where a registry must not send us", async () => {
    await using service = await openImageService();
    await using registry = await startFakeRegistry();
    takeUploads(registry, { place: () => "http://169.254.169.254/up" });
    await load(service, await archiveOf(await twoLayers(), `${registry.host}/x:1`));
    await assert.rejects(push(service, `${registry.host}/x`), { kind: "permission_denied" });
    takeUploads(registry, { place: () => "ftp://example/up" });
    await assert.rejects(push(service, `${registry.host}/x`), { kind: "permission_denied" });
  });
});
