/** Every route under random queries and bodies: refused or answered, never our own fault. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { allRoutes } from "../src/http/routes/all.ts";
import { ask } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
});
after(async () => {
  assert.equal((await ask(stack.socket, "/_ping")).body, "OK");
  await stack[Symbol.asyncDispose]();
});

/** Streams that go on for ever, and hijacked ones: tested elsewhere. */
const endless = /\/(events|attach|attach\/ws|start|stats|logs|wait)$/;
const parameters = [
  "all",
  "limit",
  "filters",
  "size",
  "t",
  "signal",
  "h",
  "w",
  "path",
  "platform",
  "fromImage",
  "fromSrc",
  "tag",
  "repo",
  "name",
  "names",
  "type",
  "condition",
  "force",
  "manifests",
  "changes",
];
const fields = [
  "Image",
  "Cmd",
  "Env",
  "HostConfig",
  "Binds",
  "Memory",
  "PortBindings",
  "Mounts",
  "NetworkingConfig",
  "EndpointsConfig",
  "Name",
  "Driver",
  "IPAM",
  "Config",
  "Labels",
  "Container",
  "EndpointConfig",
  "Detach",
  "Tty",
  "RestartPolicy",
  "username",
  "Force",
  "ConsoleSize",
];

const text = fc.oneof(
  fc.string(),
  fc.constantFrom(
    "1",
    "0",
    "true",
    "-1",
    "99999999999999999999",
    "{}",
    '{"label":["a"]}',
    '{"label":{"a":true}}',
    "[]",
    "null",
    '{"os":"linux","architecture":"amd64"}',
    "\0",
    "../..",
    "%00",
    "ä",
    "1.5",
  ),
);
const query = fc.dictionary(fc.constantFrom(...parameters), text, { maxKeys: 4 });
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    text,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...fields), tie("value"), { maxKeys: 4 }),
  ),
})).value;
const body = fc.oneof(
  value.map((each) => JSON.stringify(each)),
  text,
  fc.constant(""),
);
const version = fc.constantFrom("", "/v1.24", "/v1.40", "/v1.44", "/v1.52");

const badReference =
  /^(invalid reference format|invalid repository name |repository name must |cannot use digest in plugin tag$)/;

/** What dockerd, too, answers with 500 though the caller is at fault, and clients may look for. */
const dockersOwn: Readonly<Record<string, RegExp>> = {
  "/auth": /^(json: cannot unmarshal |(unexpected )?EOF$|invalid character |unexpected content )/,
  "/images/create": /^Get "http:": http: no Host in request URL$/,
  "/networks": /^invalid filter: 'type'='/,
  "/networks/": /^invalid filter: 'type'='/,
  "/swarm/init": /^--live-restore /,
  "/swarm/join": /^--live-restore /,
  "/plugins/privileges": badReference,
  "/plugins/pull": badReference,
  "/plugins/create": /^failed to parse reference .*: invalid reference format/s,
  "/plugins/{name}/enable": /^strconv\.Atoi: parsing /,
  "/plugins/{name}/upgrade": badReference,
  "/grpc": /^no upgrade proto in request$/,
  "/session": /^no upgrade proto in request$/,
};

describe("random input", () => {
  for (const { method, path } of allRoutes) {
    if (endless.test(path) || method === "OPTIONS") continue;
    it(`to ${method} ${path}`, async () => {
      await fc.assert(
        fc.asyncProperty(version, query, body, text, async (prefix, parameter, content, name) => {
          const target = path.replaceAll(/\{[a-z]+\}/g, () => encodeURIComponent(name));
          const search = new URLSearchParams(parameter).toString();
          const answer = await ask(stack.socket, {
            method,
            path: `${prefix}${target}?${search}`,
            ...(method !== "GET" && method !== "HEAD" && { body: content }),
          });
          if (answer.status !== 500) return;
          assert.match(answer.json().message as string, dockersOwn[path] ?? /^$/);
        }),
        { numRuns: 15 },
      );
    });
  }
});
