import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { it } from "node:test";
import type { HttpRequest, HttpResponse } from "./http-client.ts";
import { RegistrySession } from "./session.ts";

const base = "https://registry.test";

/** A registry whose token for reading is for less than one for writing; tokens are named after what they grant. */
class StrictRegistry {
  readonly asked: string[] = [];
  readonly firstWrite = Promise.withResolvers<void>();
  readonly firstRead = Promise.withResolvers<void>();

  async send({ method, url, headers }: HttpRequest): Promise<HttpResponse> {
    if (url.pathname === "/token") {
      const scope = url.searchParams.get("scope") ?? "";
      this.asked.push(scope);
      return answer(url, 200, {}, JSON.stringify({ token: scope }));
    }
    const wanted = method === "HEAD" ? "pull" : "pull,push";
    const token = headers["authorization"];
    if (token === `Bearer ${wanted}` || token === "Bearer pull,push") {
      if (method === "HEAD") this.firstRead.resolve();
      return answer(url, 200, {}, "");
    }
    if (token === undefined && method === "POST") {
      this.firstWrite.resolve();
      // Its refusal comes when the reading request has got its token.
      await this.firstRead.promise;
    }
    const challenge = `Bearer realm="${base}/token",service="s",scope="${wanted}"`;
    return answer(url, 401, { "www-authenticate": challenge }, "{}");
  }
}

function answer(
  url: URL,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): HttpResponse {
  return { status, headers, body: Readable.from([Buffer.from(body)]), url };
}

it("a request that got another one's token, which is for less, asks for its own", async () => {
  const registry = new StrictRegistry();
  const session = new RegistrySession({
    client: { send: (request) => registry.send(request), close: () => undefined },
    endpoints: {
      of: () =>
        Promise.resolve([
          { base, tls: { context: undefined, verify: true }, mirror: false, plainFallback: false },
        ]),
      isPlain: () => undefined,
    },
    domain: "registry.test",
    scope: "",
    mirrors: false,
    credential: undefined,
  });
  const { signal } = new AbortController();
  const write = session.send({
    method: "POST",
    target: "/v2/x/blobs/uploads/",
    accept: [200],
    signal,
  });
  await registry.firstWrite.promise;
  await session.send({ method: "HEAD", target: "/v2/x/blobs/y", accept: [200], signal });
  assert.equal((await write).status, 200);
  assert.deepEqual(registry.asked, ["pull", "pull,push"]);
});
