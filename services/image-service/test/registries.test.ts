import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { makeCertificate } from "@gantry/testkit/certificate";
import { type FakeRegistry, serveImage, startFakeRegistry } from "./fake-registry.ts";
import { openImageService, type TestService, upload } from "./image-client.ts";
import { oneLayer } from "./sample-images.ts";

async function pull(
  service: TestService,
  reference: string,
  auth?: { readonly username: string; readonly password: string },
): Promise<string> {
  let last = "";
  const request = { reference, tag: "1", ...(auth && { auth }) };
  for await (const { progress } of service.images.pullImage(request)) last = progress?.status ?? "";
  return last;
}

const failing =
  (status: number): FakeRegistry["answer"] =>
  (_request, response) => {
    response.writeHead(status).end();
    return true;
  };

describe("mirrors of the hub", () => {
  it("are asked in order, without credentials, and the next one when one fails", async () => {
    await using broken = await startFakeRegistry();
    await using mirror = await startFakeRegistry();
    broken.answer = failing(500);
    serveImage(mirror, "1", await oneLayer("mirrored"));
    await using service = await openImageService({
      daemon: { "registry-mirrors": [`http://${broken.host}`, `http://${mirror.host}/sub/`] },
    });
    const auth = { username: "me", password: "secret" };
    assert.equal(
      await pull(service, "team/app", auth),
      "Status: Downloaded newer image for team/app:1",
    );
    assert.ok(broken.seen.length > 0);
    assert.ok(mirror.seen.every(({ url }) => url.startsWith("/sub/v2/team/app/")));
    for (const { headers } of [...broken.seen, ...mirror.seen]) {
      assert.equal(headers.authorization, undefined);
    }
    const { images } = await service.images.listImages({});
    assert.deepEqual(images[0]?.repoTags, ["team/app:1"]);
  });

  it("are not asked for other registries' images", async () => {
    await using mirror = await startFakeRegistry();
    await using registry = await startFakeRegistry();
    serveImage(registry, "1", await oneLayer("direct"));
    await using service = await openImageService({
      daemon: { "registry-mirrors": [`http://${mirror.host}`] },
    });
    assert.match(await pull(service, `${registry.host}/x`), /Downloaded newer/);
    assert.deepEqual(mirror.seen, []);
  });
});

/** A proxy that knows where names of tests live; CONNECT and plain requests. */
async function startProxy(targets: Readonly<Record<string, string>>) {
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? "");
    asked.push(`${request.method} ${url.host}`);
    const target = targets[url.host] ?? "127.0.0.1:1";
    const onward = http.request(
      `http://${target}${url.pathname}${url.search}`,
      { method: request.method, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  });
  server.on("connect", (request, client: net.Socket, head) => {
    asked.push(`CONNECT ${request.url ?? ""}`);
    const [host = "", port = ""] = (targets[request.url ?? ""] ?? "127.0.0.1:1").split(":");
    const onward = net.connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.write(head);
      onward.pipe(client).pipe(onward);
    });
    onward.on("error", () => client.destroy());
    client.on("error", () => onward.destroy());
  });
  // A tunnel is no connection of the HTTP server any more, but keeps it open.
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

describe("proxies and insecure registries", () => {
  it("are used as the environment and the configuration say", async () => {
    await using registry = await startFakeRegistry();
    serveImage(registry, "1", await oneLayer("proxied"));
    await using proxy = await startProxy({ "plain.example:5000": registry.host });
    await using service = await openImageService({
      daemon: { "insecure-registries": ["plain.example:5000"] },
      env: { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: "127.0.0.1" },
    });
    assert.match(await pull(service, "plain.example:5000/x"), /Downloaded newer/);
    assert.ok(proxy.asked.includes("GET plain.example:5000"));
    // TLS is tried first, in case the registry has it.
    assert.ok(proxy.asked.includes("CONNECT plain.example:5000"));
    const before = proxy.asked.length;
    assert.match(await pull(service, `${registry.host}/x`), /Downloaded newer/);
    assert.equal(proxy.asked.length, before);
    // Nobody said that this one may go without TLS.
    await assert.rejects(pull(service, "other.example:5000/x"), { kind: "internal" });
    assert.ok(!proxy.asked.includes("GET other.example:5000"));
  });

  it("need no certificate that anybody vouches for", async () => {
    await using registry = await startFakeRegistry();
    serveImage(registry, "1", await oneLayer("self-signed"));
    await using certificate = await makeCertificate("tls.example");
    const server = https.createServer(
      { cert: certificate.cert, key: certificate.key },
      (request, response) => {
        const onward = http.request(
          `http://${registry.host}${request.url ?? ""}`,
          { method: request.method, headers: request.headers },
          (answer) => {
            response.writeHead(answer.statusCode ?? 502, answer.headers);
            answer.pipe(response);
          },
        );
        request.pipe(onward);
      },
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await using proxy = await startProxy({
      "tls.example:443": target,
      "strict.example:443": target,
    });
    await using service = await openImageService({
      daemon: { "insecure-registries": ["tls.example"] },
      env: { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url },
    });
    assert.match(await pull(service, "tls.example/x"), /Downloaded newer/);
    await assert.rejects(pull(service, "strict.example/x"), {
      kind: "internal",
      message: /certificate/,
    });
    server.closeAllConnections();
    server.close();
  });
});

describe("search", () => {
  it("asks the registry's first API, and filters what it answers", async () => {
    await using registry = await startFakeRegistry();
    registry.answer = (_request, response) => {
      const results = [
        { name: "library/web", description: "a\u001b[2J web", star_count: 90, is_official: true },
        { name: "me/web", description: "", star_count: 3 },
      ];
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ num_results: 2, results }));
      return true;
    };
    await using service = await openImageService();
    const search = async (filters: Record<string, string[]>, limit = 0) => {
      const { results } = await service.images.searchImages({
        term: `${registry.host}/web`,
        limit,
        filters: {
          filters: Object.fromEntries(
            Object.entries(filters).map(([key, values]) => [key, { values }]),
          ),
        },
      });
      return results.map(({ name }) => name);
    };
    assert.deepEqual(await search({}), ["library/web", "me/web"]);
    assert.deepEqual(await search({ stars: ["10"] }), ["library/web"]);
    assert.deepEqual(await search({ "is-official": ["false"] }), ["me/web"]);
    assert.deepEqual(await search({}, 1), ["library/web"]);
    assert.deepEqual(
      registry.seen.slice(0, 2).map(({ url }) => url),
      ["/v1/_ping", "/v1/search?q=web&n=25"],
    );
    const { results } = await service.images.searchImages({ term: `${registry.host}/web` });
    assert.equal(results[0]?.starCount, 90);
    assert.equal(results[0].isOfficial, true);
    assert.doesNotMatch(results[0].description, /\p{Cc}/u);
    await assert.rejects(search({}, 101), {
      kind: "invalid_argument",
      message: "limit 101 is outside the range of [1, 100]",
    });
    await assert.rejects(search({ nonsense: ["1"] }), { kind: "invalid_argument" });
    registry.answer = failing(404);
    await assert.rejects(search({}), { kind: "not_found" });
  });

  it("names the whole URL that got no answer", async () => {
    await using registry = await startFakeRegistry();
    registry.answer = ({ url }, response) => {
      if (url === "/v1/_ping") response.end();
      else response.destroy();
      return true;
    };
    await using service = await openImageService();
    await assert.rejects(service.images.searchImages({ term: `${registry.host}/a web` }), {
      kind: "internal",
      message: `Get "http://${registry.host}/v1/search?q=a+web&n=25": EOF`,
    });
  });
});

describe("import from a URL", () => {
  it("follows redirects, and makes an image for the platform that is asked for", async () => {
    await using registry = await startFakeRegistry();
    const image = await oneLayer("from afar");
    const [tar] = image.blobs.values();
    registry.answer = ({ url }, response) => {
      if (url === "/old.tar") response.writeHead(302, { location: "/new.tar" }).end();
      else if (url === "/new.tar") response.end(tar);
      else response.writeHead(404).end();
      return true;
    };
    await using service = await openImageService();
    const importFrom = (url: string) =>
      upload(
        service.images.importImage({
          url,
          repository: "afar",
          tag: "1",
          message: "brought here",
          changes: ["ENV A=b", "WORKDIR /srv", "EXPOSE 80", 'ENTRYPOINT ["/x"]'],
          platform: { os: "linux", architecture: "arm64", variant: "v8" },
        }),
        new Uint8Array(),
      );
    await importFrom(`http://${registry.host}/old.tar`);
    const { image: made } = await service.images.inspectImage({ image: "afar:1" });
    const config = JSON.parse(Buffer.from(made?.configJson ?? []).toString());
    assert.deepEqual(config.config, {
      Env: ["A=b"],
      WorkingDir: "/srv",
      ExposedPorts: { "80/tcp": {} },
      Entrypoint: ["/x"],
    });
    assert.deepEqual([config.os, config.architecture], ["linux", "arm64"]);
    assert.deepEqual(config.rootfs.diff_ids, image.diffIds);
    assert.equal(config.history[0].comment, "brought here");
    await assert.rejects(importFrom(`http://${registry.host}/none.tar`), {
      kind: "invalid_argument",
      message: /^got status code 404 from /,
    });
    await assert.rejects(importFrom("file:///etc/passwd"), {
      kind: "internal",
      message: /unsupported protocol scheme "file"/,
    });
    await assert.rejects(importFrom("http://169.254.169.254/x"), { kind: "invalid_argument" });
  });
});
