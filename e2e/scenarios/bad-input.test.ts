/** Bad input gives Docker's status and text, leaves nothing behind, and takes no service down. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { eventually } from "@gantry/testkit/eventually";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import type { Question } from "../src/http.ts";
import { ask, messageOf } from "../src/http.ts";

let engine: TestEngine;
let pids: string;
before(async () => {
  engine = await TestEngine.start();
  pids = await servicePids();
});
after(async () => {
  assert.equal(await servicePids(), pids, "a service was restarted");
  await engine[Symbol.asyncDispose]();
});
beforeEach(async () => {
  assert.equal(await engine.docker(["ps", "-aq"]), "", "an earlier test left a container");
});

async function servicePids(): Promise<string> {
  const lists = await Promise.all(
    (["api-gateway", "container-service", "image-service"] as const).map(
      async (service) => await engine.pidsOf(service),
    ),
  );
  return JSON.stringify(lists);
}

interface RunCase {
  readonly name: string;
  readonly args: readonly string[];
  readonly code: number;
  readonly text: RegExp;
}

const runCases: readonly RunCase[] = [
  {
    name: "an unknown command",
    args: ["--rm", "busybox", "nope"],
    code: 127,
    text: /exec: "nope": executable file not found in \$PATH/,
  },
  {
    name: "an unknown absolute command",
    args: ["--rm", "busybox", "/nope"],
    code: 127,
    text: /exec: "\/nope": stat \/nope: no such file or directory/,
  },
  {
    name: "a command without execute permission",
    args: ["--rm", "busybox", "/etc/passwd"],
    code: 126,
    text: /exec: "\/etc\/passwd": permission denied/,
  },
  {
    name: "a directory as command",
    args: ["--rm", "busybox", "/etc"],
    code: 126,
    text: /exec: "\/etc": (is a directory|permission denied)/,
  },
  {
    name: "an unknown user",
    args: ["--rm", "-u", "ghost", "busybox", "true"],
    code: 125,
    text: /unable to find user ghost: no matching entries in passwd file/,
  },
  {
    name: "an unknown group",
    args: ["--rm", "-u", "0:ghosts", "busybox", "true"],
    code: 125,
    text: /unable to find group ghosts: no matching entries in group file/,
  },
  {
    name: "a user number that wraps around to root",
    args: ["--rm", "-u", "4294967296", "busybox", "true"],
    code: 125,
    text: /./,
  },
  {
    name: "a relative working directory",
    args: ["--rm", "-w", "a/b", "busybox", "true"],
    code: 125,
    text: /the working directory 'a\/b' is invalid, it needs to be an absolute path/,
  },
  {
    name: "an unknown image",
    args: ["--rm", "--pull", "never", "nosuchimage", "true"],
    code: 125,
    text: /No such image: nosuchimage:latest/,
  },
  {
    name: "an unknown network",
    args: ["--rm", "--network", "nosuchnet", "busybox", "true"],
    code: 125,
    text: /network nosuchnet not found/,
  },
  {
    name: "too little memory",
    args: ["--rm", "-m", "1m", "busybox", "true"],
    code: 125,
    text: /Minimum memory limit allowed is 6MB/,
  },
  {
    name: "a mount on the root",
    args: ["--rm", "-v", "/tmp:/", "busybox", "true"],
    code: 125,
    text: /destination can't be '\/'/,
  },
  {
    name: "an unknown capability",
    args: ["--rm", "--cap-add", "FLY", "busybox", "true"],
    code: 125,
    text: /invalid CapAdd: unknown capability: "CAP_FLY"/,
  },
];

describe("docker run with", () => {
  for (const { name, args, code, text } of runCases) {
    it(name, async () => {
      const ran = await engine.tryDocker(["run", ...args]);
      assert.match(ran.stderr, text);
      assert.equal(ran.code, code, ran.stderr);
    });
  }
  it("a name in use", async () => {
    const id = await engine.docker(["create", "--name", "taken", "busybox"]);
    const ran = await engine.tryDocker(["run", "--name", "taken", "busybox", "true"]);
    assert.match(
      ran.stderr,
      new RegExp(
        `Conflict\\. The container name "/taken" is already in use by container "${id}"\\. You have to remove \\(or rename\\) that container to be able to reuse that name\\.`,
      ),
    );
    await engine.docker(["rm", "taken"]);
  });
  it("a port that a program of the host has", async () => {
    const server = net.createServer().listen(0, "0.0.0.0");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const ran = await engine.tryDocker([
      "run",
      "--name",
      "port",
      "-p",
      `${String(port)}:80`,
      "busybox",
      "true",
    ]);
    assert.equal(ran.code, 125);
    assert.match(ran.stderr, /address already in use|port is already allocated/);
    assert.equal(await engine.docker(["inspect", "-f", "{{.State.Status}}", "port"]), "created");
    await engine.docker(["rm", "port"]);
    server.close();
  });
});

describe("docker exec", () => {
  it("with a user that the container does not have is refused before anything runs", async () => {
    const name = "exec-user";
    await engine.docker(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    for (const [user, what] of [
      ["ghost", "user ghost: no matching entries in passwd file"],
      ["ghost:0", "user ghost: no matching entries in passwd file"],
      ["0:ghosts", "group ghosts: no matching entries in group file"],
    ] as const) {
      for (const flags of [[], ["-d"]]) {
        const ran = await engine.tryDocker(["exec", ...flags, "-u", user, name, "id"]);
        assert.equal(ran.stderr, `Error response from daemon: unable to find ${what}\n`);
        assert.equal(ran.code, 1);
      }
    }
    assert.equal(await engine.docker(["exec", "-u", "7:8", name, "id", "-u"]), "7");
    await engine.docker(["rm", "-f", name]);
  });

  it("is told 137 when the container is killed under it", async () => {
    const name = "exec-killed";
    await engine.docker(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    const running = engine.tryDocker(["exec", name, "sh", "-c", "touch /here; sleep 1000"]);
    await eventually(
      async () => (await engine.tryDocker(["exec", name, "ls", "/here"])).code === 0,
    );
    await engine.docker(["kill", name]);
    const { code, stderr } = await running;
    assert.deepEqual([code, stderr], [137, ""]);
    await engine.docker(["rm", name]);
  });
});

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
      const answer = await ask(engine, question);
      assert.equal(answer.status, status, answer.body);
      assert.match(messageOf(answer), message);
    });
  }
  it("ignores unknown fields of a body", async () => {
    const answer = await ask(engine, {
      method: "POST",
      path: "/containers/create",
      body: { Image: "busybox", Cmd: ["true"], Nonsense: { a: 1 } },
    });
    assert.equal(answer.status, 201, answer.body);
    await engine.docker(["rm", (JSON.parse(answer.body) as { Id: string }).Id]);
  });
  it("refuses a body without end before it fills memory", async () => {
    const socket = net.connect(path.join(engine.runRoot, "docker.sock"));
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
      const socket = net.connect(path.join(engine.runRoot, "docker.sock"));
      await once(socket, "connect");
      socket.write(part);
      socket.destroy();
    }
    assert.equal((await ask(engine, { path: "/_ping" })).body, "OK");
  });
});

describe("an image whose layer", () => {
  const attacks = [
    { name: "climbs out by ..", header: { name: "../../../../../../../../gantry-escape" } },
    { name: "has an absolute path", header: { name: "/tmp/gantry-escape" } },
  ];
  for (const { name, header } of attacks) {
    it(`${name} writes nothing outside of its root`, async () => {
      const layer = await makeLayer([{ header, content: "escaped" }]);
      await engine.tryDocker(["load"], {
        input: await makeDockerArchive([
          { image: makeImage({ layers: [layer] }), tags: ["attack:1"] },
        ]),
      });
      assert.ok(!existsSync("/gantry-escape") && !existsSync("/tmp/gantry-escape"));
      await engine.tryDocker(["rmi", "attack:1"]);
    });
  }
  it("writes through a symbolic link stays inside its root", async () => {
    const layer = await makeLayer([
      { header: { name: "link", type: "symlink", linkname: "/tmp" } },
      { header: { name: "link/gantry-escape" }, content: "escaped" },
    ]);
    await engine.tryDocker(["load"], {
      input: await makeDockerArchive([
        { image: makeImage({ layers: [layer] }), tags: ["attack:2"] },
      ]),
    });
    assert.ok(!existsSync("/tmp/gantry-escape"));
    await engine.tryDocker(["rmi", "attack:2"]);
  });
});
