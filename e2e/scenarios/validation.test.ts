/** What a dockerd 28.5 answers to wrong requests, to the byte; and what it takes that looks wrong. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

interface Row {
  readonly method: string;
  readonly path: string;
  readonly body?: object | string;
  readonly status: number;
  readonly message: string;
}

const untilRows = ["containers", "networks"].flatMap((objects): Row[] =>
  [
    ["x", 'failed to parse value as time or duration: "x"'],
    ["-1", 'parsing time "-1" as "2006-01-02": cannot parse "-1" as "2006"'],
    ["2026-13-01", 'parsing time "2026-13-01": month out of range'],
    ["2026-02-30", 'parsing time "2026-02-30": day out of range'],
    ["2026-01-01T25:00:00", 'parsing time "2026-01-01T25:00:00": hour out of range'],
  ].map(([until, message = ""]) => ({
    ...{ method: "POST", status: 400, message },
    path: `/${objects}/prune?filters=${encodeURIComponent(JSON.stringify({ until: [until] }))}`,
  })),
);

const create = (config: object, message: string): Row => ({
  ...{ method: "POST", path: "/containers/create", status: 400, message },
  body: Object.keys(config).length === 0 ? {} : { Image: "busybox", ...config },
});

/** Of a container that runs, `subject`. */
const containerRows: readonly Row[] = [
  create({}, "config cannot be empty in order to create a container"),
  create(
    { HostConfig: { CpuShares: -1 } },
    "invalid CPU shares (-1): value must be a positive integer",
  ),
  create({ HostConfig: { ExtraHosts: ["a=1.1.1.1"] } }, 'bad format for add-host: "a=1.1.1.1"'),
  create(
    { WorkingDir: "a" },
    "the working directory 'a' is invalid, it needs to be an absolute path",
  ),
  {
    ...{ method: "POST", path: "/containers/subject/start?checkpoint=x", status: 400 },
    message: "checkpoint is only supported in experimental mode",
  },
  {
    ...{ method: "POST", path: "/containers/create", status: 500 },
    body: { Image: "busybox", HostConfig: { SecurityOpt: ["systempaths=unconfined"] } },
    message: 'invalid --security-opt 2: "systempaths=unconfined"',
  },
  {
    ...{ method: "POST", path: "/containers/create", status: 500 },
    body: { Image: "busybox", HostConfig: { SecurityOpt: ["seccomp:unconfined", "zzz"] } },
    message: 'invalid --security-opt 1: "zzz"',
  },
  {
    ...{ method: "POST", path: "/containers/nope/kill", status: 404 },
    message: "cannot kill container: nope: No such container: nope",
  },
  ...(
    [
      ["99", "the linux daemon does not support signal 99"],
      ["-1", "the linux daemon does not support signal -1"],
      ["0", "invalid signal: 0"],
      ["NOPE", "invalid signal: NOPE"],
    ] as const
  ).map(([signal, problem]) => ({
    ...{ method: "POST", path: `/containers/subject/kill?signal=${signal}`, status: 400 },
    message: `cannot kill container: subject: ${problem}`,
  })),
  {
    ...{ method: "POST", path: "/containers/subject/rename?name=b", status: 400 },
    message:
      "Error when allocating new name: Invalid container name (/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  },
  ...(
    [
      ["h=1", 'width "": invalid syntax'],
      ["h=x&w=1", 'height "x": invalid syntax'],
      ["h=-1&w=1", 'height "-1": value out of range'],
      ["h=5000000000&w=1", 'height "5000000000": value out of range'],
    ] as const
  ).map(([size, problem]) => ({
    ...{ method: "POST", path: `/containers/subject/resize?${size}`, status: 400 },
    message: `invalid resize ${problem}`,
  })),
  {
    ...{ method: "GET", path: "/containers/subject/top?ps_args=--nope", status: 500 },
    message: "ps: error: unknown gnu long option",
  },
  ...["before", "since"].map((key) => ({
    ...{ method: "GET", status: 404, message: "No such container: nope" },
    path: `/containers/json?filters=${encodeURIComponent(JSON.stringify({ [key]: ["nope"] }))}`,
  })),
];

describe("a wrong request", () => {
  before(async () => {
    await engine.docker(["run", "-d", "--name", "subject", "busybox", "sleep", "1000"]);
  });
  after(async () => {
    await engine.docker(["rm", "-f", "subject"]);
  });
  for (const { method, path, body, status, message } of [...untilRows, ...containerRows]) {
    it(`${method} ${decodeURIComponent(path)} ${JSON.stringify(body) ?? ""}`, async () => {
      const answer = await ask(engine, {
        ...{ method, path: `/v1.50${path}` },
        ...(body !== undefined && { body, headers: { "content-type": "application/json" } }),
      });
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [status, { message }]);
    });
  }
});

describe("a create", () => {
  const made = async (HostConfig: object): Promise<unknown> => {
    const answer = await ask(engine, {
      ...{ method: "POST", path: "/v1.50/containers/create" },
      body: { Image: "busybox", HostConfig },
    });
    assert.equal(answer.status, 201, answer.body);
    const { Id, Warnings } = JSON.parse(answer.body) as { Id: string; Warnings: unknown };
    await engine.docker(["rm", Id]);
    return Warnings;
  };

  it("takes options of the log driver none, which has no use for them", async () => {
    assert.deepEqual(await made({ LogConfig: { Type: "none", Config: { "max-size": "1m" } } }), []);
  });

  it("tells an auto-removed container's policy from one that may be changed", async () => {
    const id = await engine.docker(["create", "--rm", "busybox"]);
    const answer = await ask(engine, {
      ...{ method: "POST", path: `/v1.50/containers/${id}/update` },
      body: { RestartPolicy: { Name: "always" } },
    });
    const message = `Cannot update container ${id}: Restart policy cannot be updated because AutoRemove is enabled for the container`;
    assert.deepEqual([answer.status, JSON.parse(answer.body)], [409, { message }]);
    await engine.docker(["rm", id]);
  });
});
