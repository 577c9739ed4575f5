import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { HostConfigSchema } from "@gantry/proto/container";
import { Fields } from "../decode/fields.ts";
import { decodeHostConfig } from "../decode/host-config.ts";
import { parseJson } from "../decode/json-value.ts";
import { encodeHostConfig } from "./host-config.ts";
import { toJson } from "./json.ts";

/** What inspect shows of a HostConfig that was sent so. */
function shown(sent: object): Record<string, unknown> {
  const value = parseJson(JSON.stringify(sent));
  assert.ok(value instanceof Map);
  const host = create(HostConfigSchema, decodeHostConfig(new Fields(value), 50));
  return JSON.parse(toJson(encodeHostConfig(host, 50))) as Record<string, unknown>;
}

describe("lists of HostConfig in inspect", () => {
  const kept: readonly (readonly [name: string, some: readonly unknown[]])[] = [
    ["Binds", ["/a:/b"]],
    ["VolumesFrom", ["a"]],
    ["CapAdd", ["CAP_CHOWN"]],
    ["CapDrop", ["CAP_CHOWN"]],
    ["Dns", ["1.1.1.1"]],
    ["DnsOptions", ["rotate"]],
    ["DnsSearch", ["a.test"]],
    ["ExtraHosts", ["a:1.1.1.1"]],
    ["GroupAdd", ["5"]],
    ["SecurityOpt", ["label=disable"]],
    ["BlkioWeightDevice", [{ Path: "/dev/a", Weight: 20 }]],
    ["BlkioDeviceReadBps", [{ Path: "/dev/a", Rate: 1 }]],
    ["BlkioDeviceWriteBps", [{ Path: "/dev/a", Rate: 2 }]],
    ["BlkioDeviceReadIOps", [{ Path: "/dev/a", Rate: 3 }]],
    ["BlkioDeviceWriteIOps", [{ Path: "/dev/a", Rate: 4 }]],
    ["Devices", [{ PathOnHost: "/dev/a", PathInContainer: "/dev/b", CgroupPermissions: "rwm" }]],
    ["DeviceCgroupRules", ["c 1:3 rwm"]],
    [
      "DeviceRequests",
      [{ Driver: "cdi", Count: 0, DeviceIDs: ["a"], Capabilities: [["b"]], Options: { c: "d" } }],
    ],
    ["Ulimits", [{ Name: "nofile", Hard: 2, Soft: 1 }]],
    ["MaskedPaths", ["/proc/keys"]],
    ["ReadonlyPaths", ["/proc/sys"]],
  ];
  for (const [name, some] of kept) {
    it(`shows ${name} as null, [] or what was sent`, () => {
      assert.equal(shown({})[name], null);
      assert.equal(shown({ [name]: null })[name], null);
      assert.deepEqual(shown({ [name]: [] })[name], []);
      assert.deepEqual(shown({ [name]: some })[name], some);
    });
  }

  it("shows PortBindings as null, {} or what was sent", () => {
    assert.equal(shown({})["PortBindings"], null);
    assert.equal(shown({ PortBindings: null })["PortBindings"], null);
    assert.deepEqual(shown({ PortBindings: {} })["PortBindings"], {});
    const some = { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }] };
    assert.deepEqual(shown({ PortBindings: some })["PortBindings"], some);
  });

  it("shows the fields of a device request as null, empty or what was sent", () => {
    const request = (sent: object): unknown => shown({ DeviceRequests: [sent] })["DeviceRequests"];
    const bare = { Driver: "", Count: -1, DeviceIDs: null, Capabilities: null, Options: null };
    assert.deepEqual(request({ Count: -1 }), [bare]);
    const empty = { Driver: "", Count: 0, DeviceIDs: [], Capabilities: [], Options: {} };
    assert.deepEqual(request(empty), [empty]);
    const gpus = { ...bare, Capabilities: [["gpu"]], Options: {} };
    assert.deepEqual(request(gpus), [gpus]);
  });

  it("shows Links without any as null", () => {
    assert.equal(shown({})["Links"], null);
    assert.equal(shown({ Links: [] })["Links"], null);
    assert.deepEqual(shown({ Links: ["a:b"] })["Links"], ["a:b"]);
  });

  it("leaves Mounts out when there are none", () => {
    assert.equal("Mounts" in shown({ Mounts: [] }), false);
  });
});
