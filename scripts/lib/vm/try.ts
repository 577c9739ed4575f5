import { openTempDir } from "@gantry/fs";
import { runInGuest } from "./machine.ts";

await using folder = await openTempDir("gantry-vm-", "/var/tmp");
console.log(
  await runInGuest({
    folder: folder.path,
    command: process.argv[2] ?? "true",
    memoryMb: 3072,
    diskMb: 2048,
    timeoutMs: 500_000,
  }),
);
