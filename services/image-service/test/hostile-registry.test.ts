import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { eventually } from "@gantry/testkit";
import { digestOf, makeImage } from "@gantry/testkit/image-maker";
import { emptyDisk, inTrash, onDisk } from "./disk.ts";
import { type FakeRegistry, serveImage, startFakeRegistry } from "./fake-registry.ts";
import { openImageService, type TestService } from "./image-client.ts";
import { oneLayer } from "./sample-images.ts";

describe("a hostile registry", () => {
  let service: TestService;
  let registry: FakeRegistry;
  before(async () => {
    service = await openImageService();
  });
  after(async () => {
    await service[Symbol.asyncDispose]();
  });

  async function pull(tag = "1", auth?: { username: string; password: string }): Promise<string[]> {
    const found: string[] = [];
    const request = { reference: `${registry.host}/x/y`, tag, ...(auth && { auth }) };
    for await (const { progress } of service.images.pullImage(request)) {
      if (progress !== undefined) found.push(progress.status);
    }
    return found;
  }

  async function withRegistry(run: () => Promise<void>): Promise<void> {
    registry = await startFakeRegistry();
    try {
      await run();
    } finally {
      await registry[Symbol.asyncDispose]();
    }
  }

  async function nothingLeft(): Promise<void> {
    await service.images.pruneImages({});
    await eventually(() => {
      assert.deepEqual(onDisk(service.dataDir), emptyDisk);
      assert.deepEqual(inTrash(service.dataDir), []);
      return true;
    });
  }

  it("cannot give other bytes than a digest names", () =>
    withRegistry(async () => {
      const image = await oneLayer("real");
      serveImage(registry, "1", image);
      const [[layer, bytes] = ["", new Uint8Array()]] = image.blobs;
      registry.blobs.set(layer, Buffer.from(bytes).fill(7, 20, 40));
      await assert.rejects(pull(), { kind: "invalid_argument" });
      registry.blobs.set(layer, Buffer.concat([bytes, Buffer.alloc(10)]));
      await assert.rejects(pull(), {
        kind: "invalid_argument",
        message: /larger than its descriptor/,
      });
      await service.images.pruneImages({});
      registry.manifests.set(image.manifestDigest, {
        type: "application/vnd.oci.image.manifest.v1+json",
        bytes: Buffer.from(`${Buffer.from(image.manifest).toString()} `),
      });
      await assert.rejects(pull(image.manifestDigest), { message: /manifest verification failed/ });
      await nothingLeft();
    }));

  it("cannot pass a document that is two things, or too large, or none", () =>
    withRegistry(async () => {
      const image = await oneLayer("x");
      const document = JSON.parse(Buffer.from(image.manifest).toString()) as object;
      const bad: readonly [unknown, string][] = [
        [{ ...document, manifests: [] }, "application/vnd.oci.image.manifest.v1+json"],
        [{ ...document, manifests: [] }, "application/vnd.oci.image.index.v1+json"],
        [document, "application/vnd.oci.image.index.v1+json"],
        [
          { schemaVersion: 1, fsLayers: [] },
          "application/vnd.docker.distribution.manifest.v1+prettyjws",
        ],
        [[], ""],
        [
          {
            ...document,
            layers: [{ mediaType: "x", digest: "sha256:../../../etc/passwd", size: 1 }],
          },
          "",
        ],
        [
          {
            ...document,
            layers: [{ mediaType: "x", digest: digestOf(Buffer.from("")), size: -1 }],
          },
          "",
        ],
        [
          {
            ...document,
            layers: Array(501).fill({ mediaType: "x", digest: digestOf(Buffer.from("")), size: 1 }),
          },
          "",
        ],
      ];
      for (const [value, type] of bad) {
        registry.manifests.set("1", { type, bytes: Buffer.from(JSON.stringify(value)) });
        await assert.rejects(
          pull(),
          { kind: "invalid_argument" },
          JSON.stringify(value).slice(0, 80),
        );
      }
      registry.manifests.set("1", { type: "", bytes: Buffer.alloc(5 * 1024 * 1024, 32) });
      await assert.rejects(pull(), { kind: "invalid_argument", message: /larger than/ });
      await nothingLeft();
    }));

  it("cannot fill the disk by a layer that grows beyond all measure", () =>
    withRegistry(async () => {
      const bomb = zstdCompressSync(Buffer.alloc(160 * 1024 * 1024));
      const image = makeImage({ layers: [bomb], gzip: false });
      serveImage(registry, "1", image);
      await assert.rejects(pull(), { kind: "invalid_argument", message: /times larger/ });
      await nothingLeft();
    }));

  it("never sees a password through another host's token server", () =>
    withRegistry(async () => {
      const auth = { username: "u", password: "secret" };
      for (const realm of [
        "http://169.254.169.254/token",
        "https://tokens.example.org/t",
        "file:///etc/passwd",
      ]) {
        registry.answer = (_request, response) => {
          response
            .writeHead(401, { "www-authenticate": `Bearer realm="${realm}",service="s"` })
            .end();
          return true;
        };
        await assert.rejects(pull("1", auth), { kind: "permission_denied" }, realm);
      }
    }));

  it("gets credentials itself, and the host that it redirects to does not", () =>
    withRegistry(async () => {
      await using other = await startFakeRegistry();
      const image = await oneLayer("redirected");
      serveImage(registry, "1", image);
      for (const [digest, bytes] of image.blobs) other.blobs.set(digest, bytes);
      const expected = `Basic ${Buffer.from("u:secret").toString("base64")}`;
      registry.answer = (request, response) => {
        if (request.headers.authorization !== expected) {
          response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
          return true;
        }
        if (!(request.url ?? "").includes("/blobs/")) return false;
        response.writeHead(307, { location: `http://${other.host}${request.url}` }).end();
        return true;
      };
      await assert.rejects(pull(), { message: /no basic auth credentials/ });
      const words = await pull("1", { username: "u", password: "secret" });
      assert.match(words.at(-1) ?? "", /Downloaded newer image/);
      assert.ok(other.seen.length > 0);
      for (const { headers } of other.seen) assert.equal(headers.authorization, undefined);
      await service.images.removeImage({ image: `${registry.host}/x/y:1` });
      await nothingLeft();
    }));

  it("cannot send us round in a ring, nor to a metadata service", () =>
    withRegistry(async () => {
      registry.answer = (request, response) => {
        response.writeHead(302, { location: request.url }).end();
        return true;
      };
      await assert.rejects(pull(), { message: /redirects/ });
      registry.answer = (_request, response) => {
        response.writeHead(302, { location: "http://169.254.169.254/latest" }).end();
        return true;
      };
      await assert.rejects(pull(), { kind: "permission_denied" });
    }));

  it("cannot write to the terminal by its error texts", () =>
    withRegistry(async () => {
      registry.answer = (_request, response) => {
        const errors = [{ code: "DENIED", message: "\u001b[2Jgo\u0007 away\r\n" }];
        response
          .writeHead(403, { "content-type": "application/json" })
          .end(JSON.stringify({ errors }));
        return true;
      };
      await assert.rejects(pull(), (error: Error) => {
        assert.match(error.message, /go +away/);
        assert.doesNotMatch(error.message, /\p{Cc}/u);
        return true;
      });
    }));

  it("may break connections: the rest is fetched from where it stopped", () =>
    withRegistry(async () => {
      const image = await oneLayer(createHash("sha512").update("x").digest("hex").repeat(3000));
      const raw = makeImage({ layers: [...image.blobs.values()].slice(0, 1), gzip: false });
      serveImage(registry, "1", raw);
      const [layer = ""] = raw.blobs.keys();
      let broken = 0;
      registry.answer = (request, response) => {
        if (!(request.url ?? "").endsWith(layer) || broken > 0) return false;
        broken += 1;
        const bytes = registry.blobs.get(layer) ?? new Uint8Array();
        response.writeHead(200, { "content-length": bytes.length });
        response.write(bytes.subarray(0, 1000), () => response.destroy());
        return true;
      };
      assert.match(
        (await pull().catch((error: unknown) => [String(error)])).at(-1) ?? "",
        /wrong diff id|failed to extract|Downloaded newer/,
      );
      assert.ok(registry.seen.some(({ headers }) => headers.range?.startsWith("bytes=")));
    }));

  it("may be overloaded: 429 and 503 are tried again", () =>
    withRegistry(async () => {
      const image = await oneLayer("patience");
      serveImage(registry, "1", image);
      const refusals = new Map<string, number>();
      registry.answer = (request, response) => {
        const count = refusals.get(request.url ?? "") ?? 0;
        refusals.set(request.url ?? "", count + 1);
        if (count > 0) return false;
        response.writeHead(refusals.size % 2 === 0 ? 503 : 429, { "retry-after": "0" }).end();
        return true;
      };
      assert.match((await pull()).at(-1) ?? "", /Downloaded newer image/);
    }));
});
