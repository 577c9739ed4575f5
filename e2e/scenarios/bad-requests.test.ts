/** Requests that are wrong: Docker's status and text, nothing left behind, and no service taken down. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { untilPasses } from "@gantry/testkit/until-passes";
import type { Question } from "../src/http.ts";
import { ask, messageOf } from "../src/http.ts";
import { useRefusalBed } from "../src/refusal-bed.ts";

const bed = useRefusalBed();

interface HttpCase {
  readonly name: string;
  readonly question: Question;
  readonly status: number;
  readonly message: RegExp;
}

const json = { "content-type": "application/json" };

function newNetwork(ipam: object): Question {
  return { method: "POST", path: "/networks/create", body: { Name: "bad", IPAM: ipam } };
}

function newContainer(hostConfig: object): Question {
  const body = { Image: "busybox", HostConfig: hostConfig };
  return { method: "POST", path: "/containers/create", body };
}

const httpCases: readonly HttpCase[] = [
  {
    name: "malformed JSON",
    question: { method: "POST", path: "/containers/create", body: "{", headers: json },
    status: 400,
    message: /^invalid JSON: /,
  },
  {
    name: "content after the JSON",
    question: {
      method: "POST",
      path: "/containers/create",
      body: '{"Image":"busybox"} {}',
      headers: json,
    },
    status: 400,
    message: /^unexpected content after JSON/,
  },
  {
    name: "a wrong content type",
    question: {
      method: "POST",
      path: "/containers/create",
      body: "{}",
      headers: { "content-type": "text/plain" },
    },
    status: 400,
    message: /^unsupported Content-Type header \(text\/plain\): must be 'application\/json'$/,
  },
  {
    name: "a key in two cases at once",
    question: {
      method: "POST",
      path: "/containers/create",
      body: '{"Image":"busybox","image":"other"}',
      headers: json,
    },
    status: 400,
    message: /./,
  },
  {
    name: "JSON nested without end",
    question: {
      method: "POST",
      path: "/containers/create",
      body: "[".repeat(100_000),
      headers: json,
    },
    status: 400,
    message: /./,
  },
  {
    name: "no command at all",
    question: {
      method: "POST",
      path: "/containers/create",
      body: { Image: "busybox", Cmd: [], Entrypoint: [""] },
    },
    status: 400,
    message: /no command specified/,
  },
  {
    name: "neither image nor command",
    question: { method: "POST", path: "/containers/create", body: { Image: "" } },
    status: 400,
    message: /^no command specified$/,
  },
  {
    name: "an unknown image",
    question: { method: "POST", path: "/containers/create", body: { Image: "nosuch" } },
    status: 404,
    message: /^No such image: nosuch:latest$/,
  },
  {
    name: "an unknown platform",
    question: {
      method: "POST",
      path: "/containers/create?platform=plan9%2Fmips",
      body: { Image: "busybox" },
    },
    status: 404,
    message: /busybox/,
  },
  {
    name: "a name with bad characters",
    question: {
      method: "POST",
      path: "/containers/create?name=a%2Fb",
      body: { Image: "busybox", Cmd: ["true"] },
    },
    status: 400,
    message: /^Invalid container name \(a\/b\), only \[a-zA-Z0-9\]\[a-zA-Z0-9_\.-\] are allowed$/,
  },
  {
    name: "an unknown container",
    question: { path: "/containers/none/json" },
    status: 404,
    message: /^No such container: none$/,
  },
  {
    name: "an unknown exec",
    question: { path: "/exec/none/json" },
    status: 404,
    message: /^No such exec instance: none$/,
  },
  {
    name: "an unknown path",
    question: { path: "/nonesuch" },
    status: 404,
    message: /^page not found$/,
  },
  {
    name: "a version that is too new",
    question: { path: "/v1.99/version" },
    status: 400,
    message: /^client version 1\.99 is too new\. Maximum supported API version is 1\.52$/,
  },
  {
    name: "a bad filter",
    question: { path: "/containers/json?filters=%7B%22nonsense%22%3A%5B%22x%22%5D%7D" },
    status: 400,
    message: /^invalid filter 'nonsense'/,
  },
  {
    name: "filters that are no JSON",
    question: { path: "/containers/json?filters=x" },
    status: 400,
    message: /^invalid filter/,
  },
  {
    name: "a bad image reference",
    question: { method: "POST", path: "/images/create?fromImage=UPPER%20CASE" },
    status: 400,
    message: /invalid reference format/,
  },
  {
    name: "subnets of one network that overlap",
    question: newNetwork({ Config: [{ Subnet: "10.99.0.0/24" }, { Subnet: "10.99.0.0/25" }] }),
    status: 403,
    message: /^invalid pool request: Pool overlaps with other one on this address space$/,
  },
  {
    name: "a gateway with a prefix length",
    question: newNetwork({ Config: [{ Subnet: "10.99.0.0/24", Gateway: "10.99.0.1/24" }] }),
    status: 400,
    message: /^invalid network config:\ninvalid gateway 10\.99\.0\.1\/24: invalid address$/,
  },
  {
    name: "an unknown type of networks",
    question: { path: "/networks?filters=%7B%22type%22%3A%5B%22x%22%5D%7D" },
    status: 500,
    message: /^invalid filter: 'type'='x'$/,
  },
  {
    name: "a signal that there is not, before the container is looked for",
    question: { method: "POST", path: "/containers/none/kill?signal=NOPE" },
    status: 400,
    message: /^cannot kill container: none: invalid signal: NOPE$/,
  },
  {
    name: "an unknown container to disconnect, before the network is looked for",
    question: { method: "POST", path: "/networks/none/disconnect", body: { Container: "none" } },
    status: 404,
    message: /^No such container: none$/,
  },
  {
    name: "a network mode of a container that is not named",
    question: newContainer({ NetworkMode: "container" }),
    status: 400,
    message: /^invalid network mode: invalid container format container:<name\|id>$/,
  },
  {
    name: "a malformed MAC address",
    question: {
      method: "POST",
      path: "/v1.50/containers/create",
      body: { Image: "busybox", MacAddress: "zz" },
    },
    status: 400,
    message: /^invalid config for network bridge: invalid MAC address zz$/,
  },
  {
    name: "a volume of a driver that there is not",
    question: newContainer({ Binds: ["kept:/kept"], VolumeDriver: "nope" }),
    status: 404,
    message: /error looking up volume plugin nope: plugin "nope" not found$/,
  },
  {
    name: "an empty link",
    question: newContainer({ Links: [""] }),
    status: 500,
    message: /^empty string specified for links$/,
  },
  {
    name: "a link to nobody on the default bridge",
    question: newContainer({ Links: ["nobody:x"] }),
    status: 400,
    message: /^could not get container for nobody: No such container: nobody$/,
  },
  {
    name: "a sysctl of an interface",
    question: newContainer({ Sysctls: { "net.ipv4.conf.eth0.forwarding": "1" } }),
    status: 500,
    message:
      /^interface specific sysctl setting "net\.ipv4\.conf\.eth0\.forwarding" must be supplied using driver option 'com\.docker\.network\.endpoint\.sysctls'$/,
  },
  {
    name: "an unknown wait condition",
    question: { method: "POST", path: "/containers/none/wait?condition=sometime" },
    status: 400,
    message: /^invalid condition: "sometime"$/,
  },
];

describe("the API answers", () => {
  for (const { name, question, status, message } of httpCases) {
    it(`${String(status)} to ${name}`, async () => {
      const answer = await ask(bed.engine, question);
      assert.equal(answer.status, status, answer.body);
      assert.match(messageOf(answer), message);
    });
  }
  it("ignores unknown fields of a body", async () => {
    const answer = await ask(bed.engine, {
      method: "POST",
      path: "/containers/create",
      body: { Image: "busybox", Cmd: ["true"], Nonsense: { a: 1 } },
    });
    assert.equal(answer.status, 201, answer.body);
    await bed.engine.docker(["rm", (JSON.parse(answer.body) as { Id: string }).Id]);
  });
  it("refuses a body without end before it fills memory", async () => {
    const socket = net.connect(path.join(bed.engine.runRoot, "docker.sock"));
    socket.write(
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    const chunk = Buffer.concat([
      Buffer.from("10000\r\n"),
      Buffer.alloc(65_536, 0x20),
      Buffer.from("\r\n"),
    ]);
    let answer = "";
    socket.on("data", (bytes: Buffer) => (answer += bytes.toString()));
    socket.on("error", () => undefined);
    const closed = once(socket, "close");
    for (let sent = 0; sent < 2000 && !socket.destroyed && answer === ""; sent += 1) {
      if (!socket.write(chunk))
        await Promise.race([once(socket, "drain"), closed, once(socket, "data")]);
    }
    await untilPasses(() => {
      assert.match(answer, /^HTTP\/1\.1 (400|413) /);
    });
    socket.destroy();
  });
  it("survives connections that are cut in the middle", async () => {
    for (const part of [
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
      "GET /_ping HT",
      "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ]) {
      const socket = net.connect(path.join(bed.engine.runRoot, "docker.sock"));
      await once(socket, "connect");
      socket.write(part);
      socket.destroy();
    }
    assert.equal((await ask(bed.engine, { path: "/_ping" })).body, "OK");
  });
});
