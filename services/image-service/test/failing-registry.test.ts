/** Registries that are overloaded, slow, or break off: what is tried again, when, and what stays behind. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { type MadeImage, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { emptyDisk, inTrash, onDisk } from "./disk.ts";
import { type Answer, type FakeRegistry, serveImage, startFakeRegistry } from "./fake-registry.ts";
import { load, openImageService, type TestService } from "./image-client.ts";
import { archiveOf, oneLayer } from "./sample-images.ts";

let service: TestService;
let registry: FakeRegistry;
let pid: number;
let usedBytes: bigint;

before(async () => {
  service = await openImageService();
  pid = service.process.pid;
});
after(async () => {
  assert.equal(service.process.pid, pid);
  assert.ok(!service.process.ended(), "the service ended");
  await service[Symbol.asyncDispose]();
});
beforeEach(async () => {
  registry = await startFakeRegistry();
  usedBytes = await diskUsage();
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await nothingLeft();
});

const diskUsage = async (): Promise<bigint> =>
  (await service.images.getDiskUsage({})).layersSizeBytes;

/** After a prune of everything that nobody holds: no blob, no layer, no unfinished write. */
async function nothingLeft(): Promise<void> {
  await service.images.pruneImages({ filters: { filters: { dangling: { values: ["false"] } } } });
  await eventually(async () => {
    assert.deepEqual(onDisk(service.dataDir), emptyDisk);
    assert.deepEqual(inTrash(service.dataDir), []);
    assert.equal(await diskUsage(), usedBytes);
    return true;
  });
}

/** All statuses of a pull. */
async function pull(signal?: AbortSignal): Promise<string[]> {
  const statuses: string[] = [];
  const request = { reference: `${registry.host}/x/y`, tag: "1" };
  for await (const { progress } of service.images.pullImage(request, { signal })) {
    statuses.push(progress?.status ?? "");
  }
  return statuses;
}

async function incompressible(size: number): Promise<MadeImage> {
  const header = { name: "file", mtime: new Date(0) };
  return makeImage({
    layers: [await makeLayer([{ header, content: randomBytes(size) }])],
    gzip: false,
  });
}

/** Digest and bytes of an image's only layer. */
function layerOf(image: MadeImage): { readonly digest: string; readonly bytes: Uint8Array } {
  const [[digest, bytes] = ["", new Uint8Array()]] = [...image.blobs].sort(
    ([, one], [, other]) => other.length - one.length,
  );
  return { digest, bytes };
}

/** Times at which a path was asked for, with what `answer` does. */
function timed(suffix: string, answer: Answer): { readonly times: number[] } {
  const times: number[] = [];
  registry.answer = (request, response) => {
    if (!(request.url ?? "").endsWith(suffix)) return false;
    times.push(performance.now());
    return answer(request, response);
  };
  return { times };
}

const gaps = (times: readonly number[]): number[] =>
  times.slice(1).map((time, index) => time - (times[index] ?? 0));

describe("an overloaded registry", () => {
  for (const [form, header] of [
    ["seconds", () => "2"],
    // A date has whole seconds: this one is more than one second away.
    ["a date", () => new Date(Date.now() + 2500).toUTCString()],
  ] as const) {
    it(`that says in ${form} when to come again is left alone so long`, async () => {
      const image = await oneLayer(`patience in ${form}`);
      serveImage(registry, "1", image);
      let refused = false;
      const { times } = timed(layerOf(image).digest, (_request, response) => {
        if (refused) return false;
        refused = true;
        response.writeHead(429, { "retry-after": header() }).end();
        return true;
      });
      assert.match((await pull()).at(-1) ?? "", /Downloaded newer image/);
      assert.equal(times.length, 2);
      assert.ok((gaps(times)[0] ?? 0) >= 1400, String(gaps(times)));
    });
  }

  it("that never recovers is asked at growing distances, and told of with its status", async () => {
    serveImage(registry, "1", await oneLayer("never"));
    const { times } = timed("/manifests/1", (_request, response) => {
      response.writeHead(503).end("<html>busy</html>");
      return true;
    });
    await assert.rejects(pull(), {
      kind: "unavailable",
      message: "received unexpected HTTP status: 503 Service Unavailable",
    });
    const distances = gaps(times);
    assert.ok(distances.length >= 3, String(distances));
    for (const [index, distance] of distances.entries()) {
      assert.ok(distance >= 200 * 2 ** index - 20, String(distances));
    }
  });
});

describe("a registry that breaks off", () => {
  it("and knows no ranges: what is here already is passed over", async () => {
    const image = await incompressible(3_000_000);
    serveImage(registry, "1", image);
    const { digest, bytes } = layerOf(image);
    const ranges: (string | undefined)[] = [];
    timed(digest, (request, response) => {
      ranges.push(request.headers.range);
      response.writeHead(200, { "content-length": bytes.length });
      if (ranges.length > 1) response.end(bytes);
      else response.write(bytes.subarray(0, 2_000_000), () => response.destroy());
      return true;
    });
    assert.match((await pull()).at(-1) ?? "", /Downloaded newer image/);
    assert.equal(ranges.length, 2);
    assert.equal(ranges[0], undefined);
    assert.match(ranges[1] ?? "", /^bytes=[1-9]\d*-$/);
  });

  it("and answers another range than it was asked for is not believed", async () => {
    const image = await incompressible(200_000);
    serveImage(registry, "1", image);
    const { digest, bytes } = layerOf(image);
    let count = 0;
    timed(digest, (request, response) => {
      count += 1;
      if (count === 1) {
        response.writeHead(200, { "content-length": bytes.length });
        response.write(bytes.subarray(0, 150_000), () => response.destroy());
        return true;
      }
      if (count > 2) return false;
      assert.ok(request.headers.range);
      response.writeHead(206, { "content-range": `bytes 5-199999/200000` }).end("wrong");
      return true;
    });
    assert.match((await pull()).at(-1) ?? "", /Downloaded newer image/);
    assert.equal(count, 3);
  });

  it("with a body that is short for good ends the pull, and keeps nothing that a prune leaves", async () => {
    const image = await incompressible(100_000);
    serveImage(registry, "1", image);
    const { digest, bytes } = layerOf(image);
    timed(digest, (request, response) => {
      const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const end = 60_000;
      response.writeHead(from > 0 ? 206 : 200, {
        "content-range": `bytes ${from}-${end - 1}/${bytes.length}`,
      });
      response.end(bytes.subarray(from, end));
      return true;
    });
    await assert.rejects(pull(), { kind: "internal", message: /unexpected EOF/ });
    assert.equal((await service.images.listImages({})).images.length, 0);
  });
});

describe("a registry that hangs", () => {
  it("before it answers is left at once when the caller goes", async () => {
    serveImage(registry, "1", await oneLayer("hang"));
    const asked = Promise.withResolvers<http.ServerResponse>();
    registry.answer = (_request, response) => {
      asked.resolve(response);
      return true;
    };
    const controller = new AbortController();
    const pulled = assert.rejects(pull(controller.signal), { kind: "canceled" });
    const left = once(await asked.promise, "close");
    controller.abort();
    await pulled;
    await left;
  });

  it("in the middle of a layer keeps the pull until the caller goes; the next one fetches the rest", async () => {
    const image = await incompressible(3_000_000);
    serveImage(registry, "1", image);
    const { digest, bytes } = layerOf(image);
    const stalled = Promise.withResolvers<http.ServerResponse>();
    timed(digest, (_request, response) => {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 2_500_000));
      stalled.resolve(response);
      return true;
    });
    const controller = new AbortController();
    const pulled = assert.rejects(pull(controller.signal), { kind: "canceled" });
    const left = once(await stalled.promise, "close");
    await eventually(() => {
      assert.ok(readdirSync(path.join(service.dataDir, "content/ingest")).length > 0);
      return true;
    });
    controller.abort();
    await pulled;
    await left;
    registry.answer = undefined;
    assert.match((await pull()).at(-1) ?? "", /Downloaded newer image/);
    const last = registry.seen.filter(({ url }) => url.endsWith(digest)).at(-1);
    const from = Number(/^bytes=(\d+)-$/.exec(last?.headers.range ?? "")?.[1] ?? 0);
    assert.ok(from > 0 && from <= 2_500_000, String(last?.headers.range));
  });
});

describe("a registry that sends its clients elsewhere", () => {
  it("in a ring with its layers ends the pull", async () => {
    const image = await oneLayer("ring");
    serveImage(registry, "1", image);
    timed(layerOf(image).digest, (request, response) => {
      response.writeHead(307, { location: request.url ?? "" }).end();
      return true;
    });
    const before = registry.seen.length;
    await assert.rejects(pull(), { message: /stopped after \d+ redirects/ });
    // Each endpoint is gone round once: another try would end in the same ring.
    const asked = registry.seen
      .slice(before)
      .filter(({ url }) => url.endsWith(layerOf(image).digest));
    assert.equal(asked.length, 9);
  });

  it("does not get a password to the host that an upload shall go to", async () => {
    const seen: http.IncomingHttpHeaders[] = [];
    const other = http.createServer((request, response) => {
      seen.push(request.headers);
      request.resume();
      request.once("end", () => response.writeHead(201).end());
    });
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const elsewhere = `http://127.0.0.1:${String((other.address() as AddressInfo).port)}/upload`;
    const password = `Basic ${Buffer.from("u:secret").toString("base64")}`;
    registry.answer = (request, response) => {
      request.resume();
      if (request.headers.authorization !== password) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      } else if (request.method === "HEAD") response.writeHead(404).end();
      else if (request.method === "POST") response.writeHead(202, { location: elsewhere }).end();
      else response.writeHead(201).end();
      return true;
    };
    const name = `${registry.host}/pushed`;
    await load(service, await archiveOf(await oneLayer("pushed"), `${name}:1`));
    const auth = { username: "u", password: "secret" };
    for await (const { progress } of service.images.pushImage({ reference: name, tag: "1", auth }))
      assert.ok(progress);
    assert.ok(seen.length > 0);
    for (const headers of seen) assert.equal(headers.authorization, undefined);
    other.closeAllConnections();
    other.close();
  });
});
