/** Endpoints of swarms and plugins, on an engine that has neither: statuses and texts of a dockerd 28.5. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ask } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

const manager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const cluster = "volume update only valid for cluster volumes, but swarm is unavailable";
// A dockerd of 28.5 that has live restore on, as this engine says of itself.
const restore = "--live-restore daemon configuration is incompatible with swarm mode";
const listen =
  "listen address must be an IP address or network interface (with optional port number)";
const upper = "invalid reference format: repository name (library/UPPER) must be lowercase";
const noPlugins = "installing plugins is not supported by this version of Gantry";
const noStream = "Bad parameters: you must choose at least one stream";

function notA(goType: string, found = "array"): string {
  return `invalid JSON: json: cannot unmarshal ${found} into Go value of type ${goType}`;
}

type Row = readonly [call: string, body: unknown, status: number, message: string];

const nothing = undefined;
const rows: readonly Row[] = [
  ...["/swarm", "/swarm/unlockkey", "/nodes", "/nodes/x", "/services", "/services/x", "/tasks"].map(
    (path): Row => [`GET ${path}`, nothing, 503, manager],
  ),
  ...["/tasks/x", "/secrets", "/secrets/x", "/configs", "/configs/x"].map(
    (path): Row => [`GET ${path}`, nothing, 503, manager],
  ),
  ...["/nodes/x", "/services/x", "/secrets/x", "/configs/x"].map(
    (path): Row => [`DELETE ${path}`, nothing, 503, manager],
  ),
  ...["/nodes", "/services", "/tasks", "/secrets", "/configs"].flatMap((path): Row[] => [
    [`GET ${path}?filters=x`, nothing, 400, "invalid filter"],
    [`GET ${path}?filters={"any":["key"]}`, nothing, 503, manager],
  ]),
  ["POST /swarm/leave", nothing, 503, "This node is not part of a swarm"],
  ["POST /swarm/init", {}, 400, 'invalid ListenAddr "": invalid empty address'],
  ["POST /swarm/join", {}, 400, 'invalid ListenAddr "": invalid empty address'],
  [
    "POST /swarm/join",
    { ListenAddr: "0.0.0.0:2377" },
    400,
    "at least 1 RemoteAddr is required to join",
  ],
  ["POST /swarm/join", { ListenAddr: "nolink:2377", RemoteAddrs: ["192.0.2.1:2377"] }, 400, listen],
  ["POST /swarm/join", { ListenAddr: "[::]:2377", RemoteAddrs: ["192.0.2.1:2377"] }, 500, restore],
  ["POST /swarm/init", [], 400, notA("swarm.InitRequest")],
  ["POST /swarm/init", { ListenAddr: "nolink" }, 400, listen],
  ["POST /swarm/init", { ListenAddr: "lo:2377" }, 500, restore],
  ["POST /swarm/init", { ListenAddr: "0.0.0.0:2377" }, 500, restore],
  ["POST /swarm/join", [], 400, notA("swarm.JoinRequest")],
  [
    "POST /swarm/init",
    { ListenAddr: 5 },
    400,
    "invalid JSON: json: cannot unmarshal number into Go struct field InitRequest.ListenAddr of type string",
  ],
  ["POST /swarm/unlock", {}, 503, manager],
  ["POST /swarm/unlock", [], 400, notA("swarm.UnlockRequest")],
  ["POST /swarm/update?version=1", {}, 503, manager],
  [
    "POST /swarm/update?version=1&rotateManagerUnlockKey=x",
    {},
    400,
    "invalid value for rotateManagerUnlockKey: x",
  ],
  ["POST /swarm/update?version=1&rotateWorkerToken=1", {}, 503, manager],
  ["POST /swarm/update?version=1", "text", 400, notA("swarm.Spec", "string")],
  [
    "POST /swarm/update",
    {},
    400,
    "invalid swarm version '': strconv.ParseUint: parsing \"\": invalid syntax",
  ],
  ["POST /nodes/x/update?version=1", {}, 503, manager],
  ["POST /nodes/x/update?version=1", true, 400, notA("swarm.NodeSpec", "bool")],
  [
    "POST /nodes/x/update?version=-1",
    {},
    400,
    "invalid node version '-1': strconv.ParseUint: parsing \"-1\": invalid syntax",
  ],
  [
    "POST /services/x/update?version=99999999999999999999",
    {},
    400,
    "invalid service version '99999999999999999999': strconv.ParseUint: parsing \"99999999999999999999\": value out of range",
  ],
  ["POST /services/create", {}, 503, manager],
  ["POST /services/create", 7, 400, notA("swarm.ServiceSpec", "number")],
  ["GET /services?status=1", nothing, 503, manager],
  [
    "GET /services?status=x",
    nothing,
    400,
    'invalid value for status: x: strconv.ParseBool: parsing "x": invalid syntax',
  ],
  [
    "GET /services/x?insertDefaults=x",
    nothing,
    400,
    'invalid value for insertDefaults: x: strconv.ParseBool: parsing "x": invalid syntax',
  ],
  ["GET /services/x/logs", nothing, 500, noStream],
  ["GET /services/x/logs?stdout=1", nothing, 503, manager],
  ["GET /tasks/x/logs", nothing, 500, noStream],
  ["GET /tasks/x/logs?stderr=1", nothing, 503, manager],
  ...(["secret", "config"] as const).flatMap((noun): Row[] => {
    const goType = noun === "secret" ? "swarm.SecretSpec" : "swarm.ConfigSpec";
    return [
      [`POST /${noun}s/create`, {}, 503, manager],
      [`POST /${noun}s/create`, [], 400, notA(goType)],
      [`POST /${noun}s/x/update?version=1`, {}, 503, manager],
      [`POST /${noun}s/x/update`, {}, 400, `invalid ${noun} version`],
      [`POST /${noun}s/x/update`, [], 400, notA(goType)],
    ];
  }),
  ["PUT /volumes/x?version=1", {}, 503, cluster],
  ["PUT /volumes/x", [], 503, cluster],
  ['GET /plugins?filters={"enabled":["x"]}', nothing, 400, "invalid filter 'enabled=[x]'"],
  [
    'GET /plugins?filters={"enabled":["true","false"]}',
    nothing,
    400,
    "invalid filter 'enabled=[true false]'",
  ],
  ['GET /plugins?filters={"no":["x"]}', nothing, 400, "invalid filter 'no'"],
  ["GET /plugins/x/json", nothing, 404, 'plugin "x" not found'],
  ["DELETE /plugins/x", nothing, 404, 'plugin "x" not found'],
  ["POST /plugins/x/enable?timeout=0", nothing, 404, 'plugin "x" not found'],
  ["POST /plugins/x/enable", nothing, 500, 'strconv.Atoi: parsing "": invalid syntax'],
  ["POST /plugins/x/disable", nothing, 404, 'plugin "x" not found'],
  ["POST /plugins/x/push", nothing, 404, 'plugin "x" not found'],
  ["POST /plugins/x/set", [], 404, 'plugin "x" not found'],
  ["POST /plugins/x/set", {}, 400, notA("[]string", "object")],
  ["POST /plugins/x/upgrade?remote=a/b", [], 404, 'plugin "x:latest" not found'],
  ["POST /plugins/x/upgrade", [], 500, "invalid reference format"],
  ["GET /plugins/privileges", nothing, 500, "invalid reference format"],
  ["POST /plugins/pull", [], 500, "invalid reference format"],
  ["POST /plugins/pull", {}, 400, notA("types.PluginPrivileges", "object")],
  ["POST /plugins/create", nothing, 500, "failed to parse reference : invalid reference format"],
  ["POST /plugins/create?name=UPPER", nothing, 500, `failed to parse reference UPPER: ${upper}`],
  ["POST /plugins/create?name=a/b", nothing, 501, noPlugins],
  ["GET /plugins/privileges?remote=UPPER", nothing, 500, upper],
  ["GET /plugins/privileges?remote=a/b", nothing, 501, noPlugins],
  ["POST /plugins/pull?remote=UPPER", [], 500, upper],
  ["POST /plugins/pull?remote=a/b&name=-", [], 500, "invalid reference format"],
  [
    `POST /plugins/pull?remote=a/b&name=a@sha256:${"0".repeat(64)}`,
    [],
    500,
    "cannot use digest in plugin tag",
  ],
  ["POST /plugins/pull?remote=a/b&name=c", [], 501, noPlugins],
  ["POST /plugins/x/upgrade?remote=UPPER", [], 500, upper],
  ["POST /plugins/UPPER/upgrade?remote=a/b", [], 500, upper],
];

describe("without a swarm and plugins", () => {
  for (const [call, body, status, message] of rows) {
    it(`${call} ${body === undefined ? "" : JSON.stringify(body)} is ${String(status)}`, async () => {
      const [method = "", path = ""] = call.split(" ");
      const headers = { "content-type": "application/json" };
      const answer = await ask(stack.socket, {
        method,
        path: encodeURI(path),
        ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }),
      });
      assert.equal(answer.status, status, answer.body);
      assert.equal(answer.json().message, message);
    });
  }

  it("GET /plugins is an empty list", async () => {
    assert.equal((await ask(stack.socket, "/plugins")).body, "[]\n");
  });

  it("refuses bodies that are not JSON before anything else", async () => {
    const answer = await ask(stack.socket, {
      method: "POST",
      path: "/services/create",
      headers: { "content-type": "text/plain" },
      body: "{}",
    });
    assert.equal(answer.status, 400);
    assert.equal(
      answer.json().message,
      "unsupported Content-Type header (text/plain): must be 'application/json'",
    );
  });
});
