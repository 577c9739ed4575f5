import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { eventually } from "@gantry/testkit";
import { htpasswdLine } from "@gantry/testkit/htpasswd";
import type { makeImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { type FakeRegistry, serveImage, startFakeRegistry } from "./fake-registry.ts";
import { load, openImageService, type TestService } from "./image-client.ts";
import { archiveOf, oneLayer } from "./sample-images.ts";

const auth = { username: "me", password: "secret" };

async function pull(
  service: TestService,
  reference: string,
  options: { readonly auth?: typeof auth; readonly signal?: AbortSignal } = {},
): Promise<string[]> {
  const found: string[] = [];
  const request = { reference, tag: "1", ...(options.auth && { auth: options.auth }) };
  for await (const { progress } of service.images.pullImage(request, { signal: options.signal })) {
    if (progress !== undefined) found.push(progress.status);
  }
  return found;
}

describe("a registry with a token server", () => {
  /** Demands a token for the repository, which the realm gives for the password or a refresh token. */
  function demandToken(registry: FakeRegistry): void {
    registry.answer = (request, response) => {
      const url = new URL(request.url ?? "", `http://${registry.host}`);
      if (url.pathname === "/token") {
        const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`;
        const known = request.headers.authorization === basic || request.method === "POST";
        response.writeHead(known ? 200 : 401);
        const scope = url.searchParams.get("scope") ?? "";
        response.end(
          JSON.stringify({
            token: `for-${Buffer.from(scope).toString("hex")}`,
            refresh_token: "again",
          }),
        );
        return true;
      }
      if (request.headers.authorization?.startsWith("Bearer for-")) {
        if (url.pathname !== "/v2/") return false;
        response.writeHead(200).end("{}");
        return true;
      }
      const challenge = `Bearer realm="http://${registry.host}/token",service="test",scope="repository:x/y:pull"`;
      response.writeHead(401, { "www-authenticate": challenge }).end();
      return true;
    };
  }

  it("gives a token for the password, and a refresh token at login", async () => {
    await using registry = await startFakeRegistry();
    serveImage(registry, "1", await oneLayer("guarded"));
    demandToken(registry);
    await using service = await openImageService();
    const reference = `${registry.host}/x/y`;
    await assert.rejects(pull(service, reference), {
      kind: "not_found",
      message:
        /^pull access denied for 127\.0\.0\.1:\d+\/x\/y, repository does not exist or may require 'docker login'/,
    });
    assert.match((await pull(service, reference, { auth })).at(-1) ?? "", /Downloaded newer/);
    const asked = registry.seen.filter(({ url }) => url.startsWith("/token"));
    assert.ok(asked.every(({ url }) => url.includes("scope=repository%3Ax%2Fy%3Apull")));

    const login = { ...auth, serverAddress: registry.host };
    assert.deepEqual(
      (({ status, identityToken }) => ({ status, identityToken }))(
        await service.images.login({ auth: login }),
      ),
      { status: "Login Succeeded", identityToken: "again" },
    );
    await assert.rejects(service.images.login({ auth: { ...login, password: "wrong" } }), {
      kind: "unauthenticated",
    });
  });
});

describe("a registry with TLS of a private authority and passwords", () => {
  it("is trusted by certs.d, and used with the credential only", async () => {
    await using dir = await openTempDir("gantry-tls-", "/tmp");
    const at = (name: string): string => path.join(dir.path, name);
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        at("key.pem"),
        "-out",
        at("cert.pem"),
      ],
      { stdio: "ignore" },
    );
    writeFileSync(at("htpasswd"), await htpasswdLine("me", "secret"));
    await using registry = await startRegistry({
      dir: at("registry"),
      tls: { certificate: at("cert.pem"), key: at("key.pem") },
      htpasswd: at("htpasswd"),
    });
    await using service = await openImageService();
    const certs = path.join(
      path.dirname(service.roots.config.configFile),
      "certs.d",
      registry.host,
    );
    mkdirSync(certs, { recursive: true });
    writeFileSync(path.join(certs, "ca.crt"), readFileSync(at("cert.pem")));
    await load(service, await archiveOf(await oneLayer("tls"), `${registry.host}/x/y:1`));
    const push = async (credential?: typeof auth): Promise<void> => {
      const request = {
        reference: `${registry.host}/x/y`,
        tag: "1",
        ...(credential && { auth: credential }),
      };
      for await (const { progress } of service.images.pushImage(request)) assert.ok(progress);
    };
    await assert.rejects(push(), { kind: "unauthenticated", message: /no basic auth credentials/ });
    await push(auth);
    await service.images.removeImage({ image: `${registry.host}/x/y:1` });
    assert.match(
      (await pull(service, `${registry.host}/x/y`, { auth })).at(-1) ?? "",
      /Downloaded newer/,
    );
    await service.images.login({ auth: { ...auth, serverAddress: registry.host } });
    await assert.rejects(
      service.images.login({ auth: { ...auth, password: "no", serverAddress: registry.host } }),
      { kind: "unauthenticated" },
    );
    const { descriptor, platforms } = await service.images.inspectDistribution({
      reference: `${registry.host}/x/y:1`,
      auth,
    });
    assert.equal(platforms[0]?.os, "linux");
    assert.match(descriptor?.digest ?? "", /^sha256:/);
  });
});

describe("several pulls", () => {
  it("of the same layers fetch each blob once", async () => {
    await using registry = await startFakeRegistry();
    const image = await oneLayer("shared");
    serveImage(registry, "1", image);
    await using service = await openImageService();
    const [layer = ""] = image.blobs.keys();
    const gate = Promise.withResolvers<undefined>();
    registry.answer = async (request) => {
      if ((request.url ?? "").endsWith(layer)) await gate.promise;
      return false;
    };
    const pulls = [pull(service, `${registry.host}/a`), pull(service, `${registry.host}/b`)];
    await eventually(() => registry.seen.some(({ url }) => url.endsWith(layer)) || undefined);
    await eventually(
      () =>
        registry.seen.filter(({ url }) => url.includes("/b/manifests/")).length > 1 || undefined,
    );
    gate.resolve(undefined);
    for (const words of await Promise.all(pulls))
      assert.match(words.at(-1) ?? "", /Downloaded newer/);
    assert.equal(registry.seen.filter(({ url }) => url.endsWith(layer)).length, 1);
  });

  it("that are cut keep what came, for the next one", async () => {
    await using registry = await startFakeRegistry();
    // Incompressible, so that the transfer has a middle.
    const noise = Buffer.alloc(8 * 1024 * 1024);
    for (let at = 0, seed = 1; at < noise.length; at += 4) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      noise.writeUInt32LE(seed, at);
    }
    const image = await oneLayer(noise.toString("latin1"));
    serveImage(registry, "1", image);
    const [layer = ""] = image.blobs.keys();
    await using service = await openImageService();
    registry.answer = (request, response) => {
      if (!(request.url ?? "").endsWith(layer)) return false;
      const bytes = registry.blobs.get(layer) ?? new Uint8Array();
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 3 * 1024 * 1024));
      return true;
    };
    const stop = new AbortController();
    const cut = assert.rejects(pull(service, `${registry.host}/a`, { signal: stop.signal }), {
      kind: "canceled",
    });
    const ingest = path.join(service.dataDir, "content/ingest");
    await eventually(() => {
      const sizes = readdirSync(ingest).map((name) => statSync(path.join(ingest, name)).size);
      return sizes.some((size) => size >= 2 * 1024 * 1024) || undefined;
    });
    stop.abort();
    await cut;
    await service.restart("SIGKILL");
    registry.answer = undefined;
    registry.seen.length = 0;
    assert.match((await pull(service, `${registry.host}/a`)).at(-1) ?? "", /Downloaded newer/);
    const [request] = registry.seen.filter(({ url }) => url.endsWith(layer));
    assert.match(request?.headers.range ?? "", /^bytes=[1-9]\d+-$/);
  });

  it("choose the platform that is wanted, and say so when there is none", async () => {
    await using registry = await startFakeRegistry();
    const [amd, arm] = [
      await oneLayer("amd", { architecture: "amd64" }),
      await oneLayer("arm", { architecture: "arm64" }),
    ];
    serveImage(registry, "amd", amd);
    serveImage(registry, "arm", arm);
    const entry = (image: ReturnType<typeof makeImage>, architecture: string) => ({
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: image.manifestDigest,
      size: image.manifest.length,
      platform: { os: "linux", architecture },
    });
    const type = "application/vnd.oci.image.index.v1+json";
    const index = {
      schemaVersion: 2,
      mediaType: type,
      manifests: [entry(amd, "amd64"), entry(arm, "arm64")],
    };
    registry.manifests.set("1", { type, bytes: Buffer.from(JSON.stringify(index)) });
    await using service = await openImageService();
    const reference = `${registry.host}/multi`;
    await assert.rejects(
      (async () => {
        const platform = { os: "linux", architecture: "s390x" };
        for await (const each of service.images.pullImage({ reference, tag: "1", platform }))
          assert.ok(each);
      })(),
      {
        kind: "not_found",
        message: "no matching manifest for linux/s390x in the manifest list entries",
      },
    );
    await pull(service, reference);
    const { images } = await service.images.listImages({ manifests: true });
    assert.deepEqual(
      images[0]?.manifests.map(({ available }) => available),
      [true, false],
    );
    const platform = { os: "linux", architecture: "arm64" };
    await assert.rejects(service.images.resolveImage({ image: `${reference}:1`, platform }), {
      kind: "not_found",
      message: /was found but does not provide the specified platform \(linux\/arm64\)$/,
    });
    for await (const each of service.images.pullImage({ reference, tag: "1", platform }))
      assert.ok(each);
    const foreign = await service.images.resolveImage({ image: `${reference}:1`, platform });
    assert.equal(foreign.platformMismatch, true);
    assert.equal(
      (await service.images.resolveImage({ image: `${reference}:1` })).platformMismatch,
      false,
    );
  });
});
