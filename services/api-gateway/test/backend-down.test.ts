/** With a service down exactly its endpoints answer 503, and all come back with it. */
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { ask, post } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

const status = async (path: string): Promise<number> => (await ask(stack.socket, path)).status;
const neither = ["/_ping", "/version", "/plugins"];
const containers = [
  "/containers/json",
  "/containers/x/json",
  "/networks",
  "/volumes",
  "/info",
  "/exec/x/json",
  "/system/df",
];
const images = ["/images/json", "/images/busybox/json", "/images/busybox/history", "/system/df"];

it("container-service", async () => {
  await stack.containers.stop();
  for (const path of containers) {
    const answer = await ask(stack.socket, path);
    assert.equal(answer.status, 503, path);
    assert.equal(answer.json().message, "container-service is not available", path);
  }
  for (const path of [...neither, "/images/json"]) assert.equal(await status(path), 200, path);
  assert.equal((await post(stack.socket, "/containers/create", { Image: "busybox" })).status, 503);
  await stack.restartContainers();
  await eventually(async () => (await status("/containers/json")) === 200);
});

it("image-service", async () => {
  await stack.images.stop();
  for (const path of images) assert.equal(await status(path), 503, path);
  assert.equal((await post(stack.socket, "/images/create?fromImage=busybox&tag=1")).status, 503);
  for (const path of [...neither, "/containers/json", "/networks", "/volumes"]) {
    assert.equal(await status(path), 200, path);
  }
  const info = (await ask(stack.socket, "/info")).json();
  assert.deepEqual(info.Warnings, ["WARNING: image-service is not available"]);
  await stack.restartImages();
  await eventually(async () => (await status("/images/json")) === 200);
});
