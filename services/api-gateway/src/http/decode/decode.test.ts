import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isEngineError } from "@gantry/errors";
import fc from "fast-check";
import { Query } from "../query.ts";
import { decodeCreate } from "./create.ts";
import { Fields } from "./fields.ts";
import { readFilters } from "./filters.ts";
import { parseJson } from "./json-value.ts";
import { parsePlatformJson, parsePlatformText } from "./platform.ts";
import { parseRegistryAuth } from "./registry-auth.ts";
import { parseTimestamp } from "./timestamp.ts";

function fields(object: unknown): Fields {
  const value = parseJson(JSON.stringify(object));
  assert.ok(value instanceof Map);
  return new Fields(value);
}

describe("decodeCreate", () => {
  it("keeps absent and empty lists apart", () => {
    const absent = decodeCreate(fields({ Image: "a" }), 52).request;
    assert.equal(absent.config?.entrypoint, undefined);
    const empty = decodeCreate(fields({ Image: "a", Entrypoint: [] }), 52).request;
    assert.deepEqual(empty.config?.entrypoint, { values: [] });
  });

  it("drops and refuses what a version doesn't have", () => {
    const body = fields({
      Image: "a",
      Healthcheck: { StartInterval: 5, Interval: 7 },
      HostConfig: { Annotations: { a: "b" }, ConsoleSize: [10, 20] },
    });
    const old = decodeCreate(body, 41).request;
    assert.deepEqual(old.hostConfig?.annotations, {});
    assert.equal(old.hostConfig?.consoleHeight, 0);
    assert.equal(old.config?.healthcheck?.startIntervalNs, 0n);
    assert.equal(old.config?.healthcheck?.intervalNs, 7n);
    const current = decodeCreate(body, 52).request;
    assert.deepEqual(current.hostConfig?.annotations, { a: "b" });
    assert.equal(current.hostConfig?.consoleWidth, 20);
    const two = fields({ NetworkingConfig: { EndpointsConfig: { a: {}, b: {} } } });
    const name = "net.ipv4.conf.eth0.forwarding";
    const sysctl = fields({ Image: "a", HostConfig: { Sysctls: { [name]: "1" } } });
    assert.equal(decodeCreate(sysctl, 47).warnings.length, 1);
    assert.throws(() => decodeCreate(sysctl, 48), {
      kind: "internal",
      message: `interface specific sysctl setting "${name}" must be supplied using driver option 'com.docker.network.endpoint.sysctls'`,
    });
    assert.throws(() => decodeCreate(two, 43), /multiple network endpoints: a, b/);
    assert.deepEqual(Object.keys(decodeCreate(two, 44).request.endpoints ?? {}), ["a", "b"]);
    const image = fields({ HostConfig: { Mounts: [{ Type: "image", Target: "/x" }] } });
    assert.throws(() => decodeCreate(image, 47), /1\.48/);
  });

  it("leaves the removal to clients that know no AutoRemove", () => {
    const body = fields({ Image: "a", HostConfig: { AutoRemove: true } });
    assert.equal(decodeCreate(body, 24).request.hostConfig?.autoRemove, false);
    assert.equal(decodeCreate(body, 25).request.hostConfig?.autoRemove, true);
  });

  it("takes KernelMemoryTCP in the versions that have it", () => {
    const body = fields({ Image: "a", HostConfig: { KernelMemoryTCP: 7 } });
    const taken = (version: number) =>
      decodeCreate(body, version).request.hostConfig?.resources?.kernelMemoryTcpBytes;
    assert.deepEqual([39, 40, 51, 52].map(taken), [0n, 7n, 7n, 0n]);
  });

  it("takes a null among structs for one without fields, as Go does", () => {
    const body = fields({
      Image: "a",
      HostConfig: { PortBindings: { "80/tcp": [null] }, Devices: [null] },
    });
    const { hostConfig } = decodeCreate(body, 52).request;
    assert.deepEqual(hostConfig?.portBindings, [
      { port: "80/tcp", bindings: [{ hostIp: "", hostPort: "" }] },
    ]);
    assert.equal(hostConfig.resources?.devices?.length, 1);
  });

  it("asks nothing of a bind that its version doesn't know", () => {
    const bindOf = (version: number, mount: object) => {
      const body = {
        HostConfig: { Mounts: [{ Type: "bind", Source: "/a", Target: "/b", ...mount }] },
      };
      return decodeCreate(fields(body), version).request.hostConfig?.mounts?.[0]?.bindOptions;
    };
    const all = { NonRecursive: true, CreateMountpoint: true, ReadOnlyNonRecursive: true };
    const words = (version: number) => {
      const bind = bindOf(version, { BindOptions: all });
      return [bind?.nonRecursive, bind?.createMountpoint, bind?.readOnlyNonRecursive];
    };
    for (const version of [39, 43, 52]) assert.equal(bindOf(version, {}), undefined);
    assert.deepEqual(words(39), [false, false, false]);
    assert.deepEqual(words(41), [true, false, false]);
    assert.deepEqual(words(43), [true, true, false]);
    assert.deepEqual(words(44), [true, true, true]);
    const force = { BindOptions: { ReadOnlyForceRecursive: true } };
    assert.throws(() => bindOf(43, force), /needs API v1\.44 or newer/);
  });

  it("takes nulls where Go clients send them", () => {
    const body = fields({
      Image: "a",
      ExposedPorts: null,
      Volumes: null,
      HostConfig: { PortBindings: { "80/tcp": null }, Ulimits: null, Mounts: null },
      NetworkingConfig: null,
    });
    assert.deepEqual(decodeCreate(body, 52).request.hostConfig?.portBindings, [
      { port: "80/tcp", bindings: [] },
    ]);
  });

  it("lets nothing but invalid_argument out, whatever the document", () => {
    const names = [
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
      "Healthcheck",
      "Test",
      "Labels",
      "Ulimits",
      "Devices",
    ];
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.string(),
        fc.integer(),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value")),
        fc.dictionary(fc.constantFrom(...names), tie("value")),
      ),
    })).value;
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), (object) => {
        try {
          decodeCreate(fields(object), 52);
        } catch (error) {
          assert.ok(isEngineError(error) && error.kind === "invalid_argument", String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("readFilters", () => {
  const keys = new Set(["label", "name"]);
  const read = (text: string) =>
    Object.fromEntries(
      readFilters(new Query(new URLSearchParams({ filters: text }).toString()), keys),
    );

  it("takes both forms", () => {
    assert.deepEqual(read('{"label":["a=b","c"]}'), { label: ["a=b", "c"] });
    assert.deepEqual(read('{"label":{"a=b":true,"c":true}}'), { label: ["a=b", "c"] });
    assert.deepEqual(read(""), {});
    assert.deepEqual(read("null"), {});
  });

  it("refuses unknown keys and everything else with Docker's words", () => {
    assert.throws(() => read('{"nonsense":["x"]}'), /^EngineError: invalid filter 'nonsense'$/);
    for (const bad of ["x", "[]", "1", '{"label":"a"}', '{"label":[1]}', "{"]) {
      assert.throws(() => read(bad), /^EngineError: invalid filter$/);
    }
  });
});

describe("parseTimestamp", () => {
  it("reads seconds with fractions to the nanosecond", () => {
    assert.equal(parseTimestamp("1700000000.000000001"), 1_700_000_000_000_000_001n);
    assert.equal(parseTimestamp("1700000000.5"), 1_700_000_000_500_000_000n);
    assert.equal(parseTimestamp("5"), 5_000_000_000n);
    assert.equal(parseTimestamp(""), 0n);
    assert.throws(() => parseTimestamp("yesterday"), /invalid syntax/);
  });
});

describe("platforms", () => {
  it("are read in both forms", () => {
    assert.deepEqual(parsePlatformText("linux/arm/v7"), {
      os: "linux",
      architecture: "arm",
      variant: "v7",
    });
    assert.deepEqual(parsePlatformText("aarch64"), {
      os: "linux",
      architecture: "arm64",
      variant: "",
    });
    assert.equal(parsePlatformJson('{"os":"linux","architecture":"amd64"}')?.architecture, "amd64");
    assert.throws(() => parsePlatformJson('{"os":"linux"}'), /both OS and Architecture/);
    for (const [text, message] of [
      ["a/b/c/d", /^"a\/b\/c\/d": cannot parse platform specifier: invalid argument$/],
      ["bogus", /^"bogus": unknown operating system or architecture: invalid argument$/],
      [
        "linux/",
        /^"" is an invalid component of "linux\/": platform specifier component must match "/,
      ],
      [
        "/amd64",
        /^"" is an invalid OS component of "\/amd64": OSAndVersion specifier component must match "/,
      ],
    ] as const) {
      assert.throws(() => parsePlatformText(text), { kind: "invalid_argument", message });
    }
    for (const [text, problem] of [
      ["{", "unexpected end of JSON input"],
      ["linux", "invalid character 'l' looking for beginning of value"],
      ["[]", "json: cannot unmarshal array into Go value of type v1.Platform"],
      ['{"os":1}', "json: cannot unmarshal number into Go struct field Platform.os of type string"],
    ] as const) {
      assert.throws(() => parsePlatformJson(text), {
        kind: "invalid_argument",
        message: `failed to parse platform: ${problem}`,
      });
    }
  });
});

describe("parseRegistryAuth", () => {
  const encode = (object: unknown): string =>
    Buffer.from(JSON.stringify(object)).toString("base64url");

  it("takes what clients send and counts the unreadable as anonymous", () => {
    assert.equal(parseRegistryAuth(encode({ username: "u", password: "p" }))?.password, "p");
    assert.equal(
      parseRegistryAuth(encode({ auth: Buffer.from("u:p:q").toString("base64") }))?.password,
      "p:q",
    );
    assert.equal(parseRegistryAuth("e30="), undefined);
    assert.equal(parseRegistryAuth("%%%"), undefined);
    assert.equal(parseRegistryAuth(""), undefined);
  });
});
