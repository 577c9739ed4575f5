/** TCP: only with certificates of both sides. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import tls from "node:tls";
import { openTempDir, type TempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { openEngineRoots } from "@gantry/testkit";
import { cleanEnvironment, mustRun, run } from "@gantry/testkit/run";
import { openGateway } from "../src/gateway.ts";
import { frame } from "./fakes/container-service.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let dir: TempDir;
let stack: Stack;
let port: number;

const file = (name: string): string => path.join(dir.path, name);

/** A certificate signed by the authority `ca`. */
async function issue(name: string, ca: string, usage: string): Promise<void> {
  const openssl = (...args: string[]) => mustRun(["openssl", ...args], { cwd: dir.path });
  await openssl(
    "req",
    "-new",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-keyout",
    `${name}-key.pem`,
    "-out",
    `${name}.csr`,
    "-subj",
    `/CN=${name}`,
    "-addext",
    "subjectAltName=IP:127.0.0.1",
    "-addext",
    `extendedKeyUsage=${usage}`,
  );
  await openssl(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    "-CA",
    `${ca}.pem`,
    "-CAkey",
    `${ca}-key.pem`,
    "-CAcreateserial",
    "-days",
    "2",
    "-copy_extensions",
    "copy",
    "-out",
    `${name}.pem`,
  );
}

async function authority(name: string): Promise<void> {
  await mustRun(
    [
      "openssl",
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      `${name}-key.pem`,
      "-out",
      `${name}.pem`,
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
    ],
    { cwd: dir.path },
  );
}

before(async () => {
  dir = await openTempDir("gantry-tls-");
  await authority("ca");
  await authority("other");
  await issue("server", "ca", "serverAuth");
  await issue("client", "ca", "clientAuth");
  await issue("stranger", "other", "clientAuth");
  stack = await openStack({
    daemon: {
      hosts: ["tcp://127.0.0.1:0"],
      tlsverify: true,
      tlscacert: file("ca.pem"),
      tlscert: file("server.pem"),
      tlskey: file("server-key.pem"),
    },
  });
  port = Number(stack.gateway.addresses.at(-1)?.split(":").at(-1));
  stack.containers.programs.set("cat", async (socket) => {
    for await (const chunk of socket.iterator({ destroyOnReturn: false }))
      socket.write(frame(1, String(chunk)));
    return 0;
  });
});
after(async () => {
  await stack[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

async function identity(name: string | undefined): Promise<tls.ConnectionOptions> {
  const ca = await readFile(file("ca.pem"));
  if (name === undefined) return { ca };
  return {
    ca,
    cert: await readFile(file(`${name}.pem`)),
    key: await readFile(file(`${name}-key.pem`)),
  };
}

describe("TCP with mutual TLS", () => {
  it("serves who has a certificate of the authority", async () => {
    const request = https.get({
      host: "127.0.0.1",
      port,
      path: "/_ping",
      ...(await identity("client")),
    });
    const [response] = await once(request, "response");
    assert.equal(await text(response), "OK");
  });
  for (const name of [undefined, "stranger"]) {
    it(`refuses ${name ?? "who has none"}`, async () => {
      const request = https.get({
        host: "127.0.0.1",
        port,
        path: "/_ping",
        ...(await identity(name)),
      });
      await assert.rejects(once(request, "response"));
    });
  }
  it("refuses plain HTTP", async () => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += String(chunk);
    });
    await new Promise((resolve) => socket.once("close", resolve));
    assert.doesNotMatch(received, /OK/);
  });
  it("refuses versions of TLS before 1.2", async () => {
    const socket = tls.connect({
      host: "127.0.0.1",
      port,
      maxVersion: "TLSv1.1",
      minVersion: "TLSv1.1",
      ...(await identity("client")),
    });
    await assert.rejects(once(socket, "secureConnect"));
  });
  it("speaks HTTP/2 by ALPN", async () => {
    const session = http2.connect(`https://127.0.0.1:${String(port)}`, await identity("client"));
    const stream = session.request({ ":path": "/_ping" });
    assert.equal(await text(stream), "OK");
    session.close();
  });
  it("serves the stock CLI, streams and half-close included", async () => {
    const ran = await run(
      [
        "docker",
        "--tlsverify",
        "--tlscacert",
        file("ca.pem"),
        "--tlscert",
        file("client.pem"),
        "--tlskey",
        file("client-key.pem"),
        "-H",
        `tcp://127.0.0.1:${String(port)}`,
        "run",
        "-i",
        "--rm",
        "busybox",
        "cat",
      ],
      { env: cleanEnvironment({ HOME: dir.path }), input: "over TLS" },
    );
    assert.equal(ran.stderr, "");
    assert.equal(ran.stdout, "over TLS");
  });
});

describe("TCP without mutual TLS", () => {
  const refused: readonly (readonly [string, object])[] = [
    ["no TLS at all", {}],
    [
      "TLS of the server only",
      { tls: true, tlscacert: "/ca.pem", tlscert: "/cert.pem", tlskey: "/key.pem" },
    ],
    ["no authority", { tlsverify: true, tlscert: "/cert.pem", tlskey: "/key.pem" }],
  ];
  for (const [name, settings] of refused) {
    it(`is refused at the start: ${name}`, async () => {
      await using roots = await openEngineRoots({
        daemon: { hosts: ["tcp://127.0.0.1:0"], ...settings },
      });
      await assert.rejects(
        openGateway({ config: roots.config, logger: silentLogger() }),
        /TCP needs mutual TLS/,
      );
    });
  }
});
