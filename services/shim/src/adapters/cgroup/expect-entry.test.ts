import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ownCgroup } from "./expect-entry.ts";

const text = "9:name=systemd:/user.slice\n3:cpu,cpuacct:/a:b\n1:memory:/\n0::/unified\n";

function hierarchy(...controllers: string[]): Parameters<typeof ownCgroup>[1] {
  return { mountPoint: "/m", folder: "m", controllers, options: "" };
}

describe("own cgroup in a v1 hierarchy", () => {
  it("is on the line of its controllers", () => {
    assert.equal(ownCgroup(text, hierarchy("memory")), "/");
    assert.equal(ownCgroup(text, hierarchy("name=systemd")), "/user.slice");
  });

  it("may have a colon in its name", () => {
    assert.equal(ownCgroup(text, hierarchy("cpu", "cpuacct")), "/a:b");
  });

  it("is not told where there is no such hierarchy, nor of v2", () => {
    assert.equal(ownCgroup(text, hierarchy("pids")), undefined);
    assert.equal(ownCgroup(text, hierarchy()), undefined);
  });
});
