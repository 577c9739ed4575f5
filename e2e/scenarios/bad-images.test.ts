/** Wrong references, digests, platforms, filters and archives: status and text as a dockerd with a containerd store has them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask, messageOf, type Question } from "../src/http.ts";
import { streamedError, useRefusalBed } from "../src/refusal-bed.ts";

const bed = useRefusalBed();

const zeros = `sha256:${"0".repeat(64)}`;
const filters = (value: object): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;
const platform = (text: string): string => `platform=${encodeURIComponent(text)}`;
const pull = (query: string): Question => ({ method: "POST", path: `/images/create?${query}` });
const importOf = (body: string | Uint8Array): Question => ({
  ...{ method: "POST", path: "/images/create?fromSrc=-", body },
  headers: { "content-type": "application/x-tar" },
});

interface Case {
  readonly name: string;
  readonly question: Question;
  readonly status: number;
  readonly message: string;
}

const malformed = "invalid reference format";
const references: readonly Case[] = [
  ...["a//b", "-x", "a:b:c", "a@sha256:123", "a..b", "a/-b", `a:${"t".repeat(129)}`].flatMap(
    (reference): Case[] => [
      {
        name: `a pull of ${reference.slice(0, 20)}`,
        question: pull(`fromImage=${encodeURIComponent(reference)}`),
        status: 400,
        message: malformed,
      },
      {
        name: `a tag ${reference.slice(0, 20)}`,
        question: {
          method: "POST",
          path: `/images/busybox/tag?repo=${encodeURIComponent(reference)}`,
        },
        status: 400,
        message: malformed,
      },
    ],
  ),
  {
    name: "a name in capitals",
    question: pull("fromImage=UPPER"),
    status: 400,
    message: "invalid reference format: repository name (library/UPPER) must be lowercase",
  },
  {
    name: "a name that is too long",
    question: pull(`fromImage=${"x".repeat(300)}`),
    status: 400,
    message: "repository name must not be more than 255 characters",
  },
  {
    name: "a tag with a space",
    question: pull("fromImage=busybox&tag=a%20b"),
    status: 400,
    message: "invalid tag format",
  },
  {
    name: "a new name with a digest",
    question: { method: "POST", path: `/images/busybox/tag?repo=x@${zeros}` },
    status: 400,
    message: "cannot import digest reference",
  },
  {
    name: "a pull of nothing",
    question: pull("fromImage="),
    status: 500,
    message: 'Get "http:": http: no Host in request URL',
  },
  {
    name: "a pull from a port that none can be",
    question: pull("fromImage=localhost:99999/x"),
    status: 500,
    message: 'Get "http://localhost:99999/v2/": dial tcp: address 99999: invalid port',
  },
  ...[
    [
      "localhost:0",
      'Get "http://localhost:0/v2/": dial tcp 127.0.0.1:0: connect: connection refused',
    ],
    [
      "LOCALHOST:1",
      'Get "http://LOCALHOST:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    ],
    [
      "No.Such.invalid",
      'Get "https://No.Such.invalid/v2/": dial tcp: lookup No.Such.invalid: no such host',
    ],
  ].map(([host = "", message = ""]) => ({
    name: `what a registry has, at ${host}`,
    question: { path: `/v1.51/distribution/${host}/x/json` },
    status: 500,
    message,
  })),
  ...[
    ["http://127.0.0.1:1/a?b=c#d", 'Get "http://127.0.0.1:1/a?b=c#d"'],
    ["http://u:secret@127.0.0.1:1/a", 'Get "http://u:***@127.0.0.1:1/a"'],
    ["127.0.0.1:1/a", 'Get "http://127.0.0.1:1/a"'],
    ["http://LOCALHOST:1/", 'Get "http://LOCALHOST:1/"'],
  ].map(([url = "", got = ""]) => ({
    name: `an import from ${url}`,
    question: pull(`fromSrc=${encodeURIComponent(url)}`),
    status: 500,
    message: `${got}: dial tcp 127.0.0.1:1: connect: connection refused`,
  })),
  {
    name: "an import from no host",
    question: pull(`fromSrc=${encodeURIComponent("http://")}`),
    status: 500,
    message: 'Get "http:": http: no Host in request URL',
  },
  ...["0".repeat(64), zeros].map((id) => ({
    name: `what a registry has of ${id.slice(0, 10)}`,
    question: { path: `/v1.51/distribution/${id}/json` },
    status: 500,
    message: "no manifest found for full image ID",
  })),
  {
    name: "a container that is not named to commit",
    question: { method: "POST", path: "/v1.51/commit" },
    status: 400,
    message: 'invalid name or ID supplied: ""',
  },
  {
    name: "a bad name for a container that is not here",
    question: { method: "POST", path: "/commit?container=nope&repo=UPPER" },
    status: 400,
    message: "invalid reference format: repository name (library/UPPER) must be lowercase",
  },
  {
    name: "a bad tag for a container that is not here",
    question: { method: "POST", path: "/commit?container=nope&repo=x&tag=-bad" },
    status: 400,
    message: "invalid tag format",
  },
  {
    name: "a tag for what can be no image",
    question: { method: "POST", path: "/images/UPPER/tag?repo=x" },
    status: 404,
    message: "invalid reference format: repository name (library/UPPER) must be lowercase",
  },
  {
    name: "what can be no image, to save",
    question: { path: "/images/UPPER/get" },
    status: 500,
    message: "invalid reference format: repository name (library/UPPER) must be lowercase",
  },
  {
    name: "words to import",
    question: importOf("this is no archive at all, only words"),
    status: 500,
    message: "unexpected EOF",
  },
  {
    name: "bytes to import that are no archive",
    question: importOf(Buffer.alloc(2000, 7)),
    status: 500,
    message: "archive/tar: invalid tar header",
  },
  {
    name: "a search of a registry that is not there",
    question: { path: "/images/search?term=localhost:1/x" },
    status: 400,
    message:
      'invalid registry endpoint "http://localhost:1/v1/". HTTPS attempt: Get "https://localhost:1/v1/_ping": ' +
      'dial tcp 127.0.0.1:1: connect: connection refused. HTTP attempt: Get "http://localhost:1/v1/_ping": ' +
      "dial tcp 127.0.0.1:1: connect: connection refused",
  },
  {
    name: "a search of a registry in capitals",
    question: { path: "/images/search?term=LOCALHOST:0/x" },
    status: 400,
    message:
      'invalid registry endpoint "http://LOCALHOST:0/v1/". HTTPS attempt: Get "https://LOCALHOST:0/v1/_ping": ' +
      'dial tcp 127.0.0.1:0: connect: connection refused. HTTP attempt: Get "http://LOCALHOST:0/v1/_ping": ' +
      "dial tcp 127.0.0.1:0: connect: connection refused",
  },
  {
    name: "a search by a URL",
    question: { path: "/images/search?term=a://b" },
    status: 400,
    message: "invalid repository name: repository name (a://b) should not have a scheme",
  },
  {
    name: "an import from a scheme that is none",
    question: pull("fromSrc=nope://x"),
    status: 500,
    message: 'Get "nope://x": unsupported protocol scheme "nope"',
  },
  {
    name: "a search with a limit that is no number",
    question: { path: "/images/search?term=x&limit=x" },
    status: 400,
    message: 'invalid limit specified: strconv.Atoi: parsing "x": invalid syntax',
  },
  ...[
    ['{"username":1}', "number", "username"],
    ['{"serveraddress":[]}', "array", "serveraddress"],
  ].map(([body = "", kind, member]) => ({
    name: `a login with ${body}`,
    question: {
      method: "POST",
      path: "/auth",
      headers: { "content-type": "application/json" },
      body,
    },
    status: 500,
    message: `json: cannot unmarshal ${String(kind)} into Go struct field .${String(member)} of type string`,
  })),
  {
    name: "an image that is not here",
    question: { path: "/images/nosuch/json" },
    status: 404,
    message: "No such image: nosuch:latest",
  },
];

const component = 'platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument';
const platforms: readonly Case[] = [
  ...[
    ["bogus", '"bogus": unknown operating system or architecture: invalid argument'],
    ["linux/", `"" is an invalid component of "linux/": ${component}`],
    ["linux/@@", `"@@" is an invalid component of "linux/@@": ${component}`],
    [
      "/amd64",
      '"" is an invalid OS component of "/amd64": OSAndVersion specifier component must match ' +
        '"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$": invalid argument',
    ],
    ["a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'],
  ].flatMap(([text = "", message = ""]): Case[] => [
    {
      name: `a pull for ${text}`,
      question: pull(`fromImage=127.0.0.1:1/x&${platform(text)}`),
      status: 400,
      message,
    },
    {
      name: `a container for ${text}`,
      question: {
        method: "POST",
        path: `/containers/create?${platform(text)}`,
        body: { Image: "busybox" },
      },
      status: 400,
      message,
    },
  ]),
  ...[
    ["{", "unexpected end of JSON input"],
    ["linux/amd64", "invalid character 'l' looking for beginning of value"],
    ["[]", "json: cannot unmarshal array into Go value of type v1.Platform"],
    ['"x"', "json: cannot unmarshal string into Go value of type v1.Platform"],
    ['{"os":1}', "json: cannot unmarshal number into Go struct field Platform.os of type string"],
  ].flatMap(([text = "", problem = ""]): Case[] =>
    ["json", "history", "get"].map((view) => ({
      name: `${view} for ${text}`,
      question: { path: `/v1.51/images/busybox/${view}?${platform(text)}` },
      status: 400,
      message: `failed to parse platform: ${problem}`,
    })),
  ),
  ...["json", "history"].map((view) => ({
    name: `${view} for a platform that is not here`,
    question: {
      path: `/v1.51/images/busybox/${view}?${platform('{"os":"linux","architecture":"s390x"}')}`,
    },
    status: 404,
    message:
      "image with reference busybox was found but does not provide the specified platform (linux/s390x)",
  })),
  {
    name: "a container for a platform that is not here",
    question: {
      method: "POST",
      path: `/containers/create?${platform("windows/amd64")}`,
      body: { Image: "busybox" },
    },
    status: 404,
    message:
      "image with reference busybox:latest was found but does not provide the specified platform (windows/amd64)",
  },
];

const filterCases: readonly Case[] = ["/images/json", "/images/prune"].flatMap((path): Case[] => {
  const method = path.endsWith("prune") ? "POST" : "GET";
  return [
    {
      name: `${path} with an unknown key`,
      question: { method, path: `${path}?${filters({ nope: ["1"] })}` },
      status: 400,
      message: "invalid filter 'nope'",
    },
    {
      name: `${path} with a word for a truth`,
      question: { method, path: `${path}?${filters({ dangling: ["maybe"] })}` },
      status: 400,
      message: "invalid filter 'dangling=[maybe]'",
    },
    ...[
      ["nope", 'failed to parse value as time or duration: "nope"'],
      ["", 'failed to parse value as time or duration: ""'],
      ["5x", 'failed to parse value as time or duration: "5x"'],
      ["-1", 'parsing time "-1" as "2006-01-02": cannot parse "-1" as "2006"'],
      ["2026-13-01", 'parsing time "2026-13-01": month out of range'],
    ].map(([until = "", message = ""]) => ({
      name: `${path} until ${until}`,
      question: { method, path: `${path}?${filters({ until: [until] })}` },
      status: 500,
      message,
    })),
  ];
});

const json = { "content-type": "application/json" };
const refusedLogin =
  'Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused';
const logins: readonly Case[] = [
  ...[
    ["", "EOF"],
    ["{", "unexpected EOF"],
    ["x", "invalid character 'x' looking for beginning of value"],
    ["{a}", "invalid character 'a' looking for beginning of object key string"],
    ['{"a":1 "b"}', "invalid character '\"' after object key:value pair"],
    ['{"a":[1 2]}', "invalid character '2' after array element"],
    ['{"a":tru}', "invalid character '}' in literal true (expecting 'e')"],
    ["[]", "json: cannot unmarshal array into Go value of type registry.AuthConfig"],
    ['{"serveraddress":"localhost:1"} {}', refusedLogin],
    ['{"serveraddress":"localhost:1"}]', refusedLogin],
    ['{"serveraddress":"LOCALHOST:1"}', refusedLogin.replace("localhost", "LOCALHOST")],
    [
      '{"serveraddress":"localhost:99999"}',
      'Get "http://localhost:99999/v2/": dial tcp: address 99999: invalid port',
    ],
  ].map(([body = "", message = ""]) => ({
    name: `the body ${body}`,
    question: { method: "POST", path: "/v1.51/auth", body, headers: json },
    status: 500,
    message,
  })),
  {
    name: "an address with a space",
    question: {
      ...{ method: "POST", path: "/v1.51/auth", headers: json },
      body: '{"serveraddress":"a b"}',
    },
    status: 400,
    message:
      'unable to parse server address: parse "https://a b": invalid character " " in host name',
  },
  ...[
    ["{a}", "invalid character 'a' looking for beginning of object key string"],
    ["trux", "invalid character 'x' in literal true (expecting 'e')"],
    ['{"a":-x}', "invalid character 'x' in numeric literal"],
  ].map(([body = "", message = ""]) => ({
    name: `a container's body ${body}`,
    question: { method: "POST", path: "/containers/create", body, headers: json },
    status: 400,
    message: `invalid JSON: ${message}`,
  })),
];

for (const [what, cases] of [
  ["references", references],
  ["logins", logins],
  ["platforms", platforms],
  ["filters", filterCases],
] as const) {
  describe(`wrong ${what}`, () => {
    for (const { name, question, status, message } of cases) {
      it(`${name}: ${String(status)}`, async () => {
        const answer = await ask(bed.engine, question);
        assert.equal(messageOf(answer), message);
        assert.equal(answer.status, status);
      });
    }
  });
}

describe("what is no fault", () => {
  it("a pattern that is none matches nothing", async () => {
    for (const pattern of ["[", "a[", "\\", "[z-a]"]) {
      const path = `/v1.51/images/json?${filters({ reference: [pattern] })}`;
      const { status, body } = await ask(bed.engine, { path });
      assert.deepEqual([status, body.trim()], [200, "[]"], pattern);
    }
  });

  it("a name with nothing between two slashes is sent to the name without", async () => {
    for (const [method, path] of [
      ["GET", "/v1.51/images/a//b/json"],
      ["DELETE", "/v1.51/images/a%2F%2Fb"],
      ["GET", "/v1.51/distribution/a//b/json"],
    ] as const) {
      const { status, headers } = await ask(bed.engine, { method, path: `${path}?x=1` });
      const clean = path.replace(/\/\/|%2F%2F/, "/");
      assert.deepEqual([status, headers.location], [301, `${clean}?x=1`]);
    }
  });
});

describe("what is told in the stream", () => {
  const push = (path: string): Question => ({
    method: "POST",
    path: `/v1.51/images/${path}`,
    headers: { "x-registry-auth": "e30=" },
  });
  it("a push of what is not here, after the repository's name", async () => {
    const { body } = await ask(bed.engine, push("nosuch/push"));
    assert.match(
      body,
      /^{"status":"The push refers to repository \[docker.io\/library\/nosuch\]"}/,
    );
    assert.equal(
      await streamedError(bed.engine, push("nosuch/push")),
      "An image does not exist locally with the tag: nosuch",
    );
    assert.equal(
      await streamedError(bed.engine, push(`busybox@${zeros}/push`)),
      `tag does not exist: busybox@${zeros}`,
    );
  });
});
