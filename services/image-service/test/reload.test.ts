import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { it } from "node:test";
import { eventually } from "@gantry/testkit";
import { openImageService } from "./image-client.ts";

it("takes other registries over at SIGHUP, and keeps the old ones when the file is wrong", async () => {
  await using service = await openImageService();
  const reload = (text: string): void => {
    writeFileSync(service.roots.config.configFile, text);
    process.kill(service.process.pid, "SIGHUP");
  };
  reload(
    JSON.stringify({
      "registry-mirrors": ["http://127.0.0.1:1/m"],
      "insecure-registries": ["10.0.0.0/8", "a:5000"],
    }),
  );
  await eventually(async () => {
    const info = await service.images.getImageInfo({});
    return info.mirrors.length > 0 || undefined;
  });
  reload("{");
  await eventually(() => service.process.log().includes("stays as it was") || undefined);
  const info = await service.images.getImageInfo({});
  assert.deepEqual(info.insecureRegistries, ["a:5000"]);
  assert.ok(info.insecureRegistryCidrs.includes("10.0.0.0/8"));
});
