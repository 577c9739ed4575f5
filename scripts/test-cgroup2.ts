/**
 * `npm run test:cgroup2 [-- filter…]`: the runtime's tests where cgroup v2 is all there is. Boots Debian's cloud
 * kernel in QEMU (software emulation, so it takes minutes) on this machine's own files.
 */
import "./lib/failure.ts";
import { openTempDir } from "@gantry/fs";
import { complain, say } from "@gantry/logging";
import { debianProgram } from "@gantry/testkit/debian";
import { buildForTests } from "./lib/build.ts";
import { linkTestedCli } from "./lib/docker-cli.ts";
import { inRoot, node, root } from "./lib/repository.ts";
import { checkSkips, readSkips } from "./lib/skips.ts";
import type { TestLine } from "./lib/test-report.ts";
import { runInGuest } from "./lib/vm/machine.ts";

/** Each in a process of its own. */
const files = [
  "services/shim/test/cgroup-versions.test.ts",
  "services/shim/test/loaded.test.ts",
  "e2e/scenarios/hostconfig.test.ts",
  "e2e/scenarios/hostconfig-cgroup.test.ts",
  "e2e/scenarios/cgroup2.guest.ts",
  "e2e/scenarios/ipvlan.guest.ts",
];

const filters = process.argv.slice(2);
const chosen = files.filter(
  (file) => filters.length === 0 || filters.some((filter) => file.includes(filter)),
);

await buildForTests();
await debianProgram("nats-server", "/usr/sbin/nats-server");
await linkTestedCli();

await using folder = await openTempDir("gantry-vm-", "/var/tmp");
const flags = [
  "--disable-warning=ExperimentalWarning",
  // Node strips types by WebAssembly. V8's swapping of its quick code for better code, and the collecting of what was
  // swapped, has ended a test file's process on QEMU's processors ("it->second.Size() > offset", a return address
  // in no code). Nothing of that is what is tested here.
  "--liftoff-only",
  "--test",
  "--test-concurrency=1",
  "--test-force-exit",
  "--test-reporter=spec",
  "--test-reporter-destination=stdout",
  `--test-reporter=${inRoot("scripts/lib/test-report.ts")}`,
  "--test-reporter-destination=/run/report",
];
const path = [`${root}/node_modules/node-linux-${process.arch}/bin`, process.env["PATH"] ?? ""];
const { code, report } = await runInGuest({
  folder: folder.path,
  command: [
    `cd ${root}`,
    `export HOME=/root PATH=${path.join(":")} GANTRY_TEST_SLOWNESS=10`,
    `${node} ${flags.join(" ")} ${chosen.map((file) => inRoot(file)).join(" ")}`,
    "code=$?; cat /run/report > /dev/ttyS1; (exit $code)",
  ].join("; "),
  memoryMb: 4096,
  diskMb: 4096,
  timeoutMs: 60 * 60_000,
});

const lines = checkSkips(
  report
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as TestLine),
  readSkips(),
);
const count = (result: TestLine["result"]): number =>
  lines.filter((line) => line.result === result).length;
say();
for (const { file, name, result, reason } of lines) {
  if (result === "skipped") say(`skipped: ${name} (${reason}) ${file}`);
  if (result === "failed") complain(`failed: ${name} ${reason} ${file}`);
}
if (code === undefined) complain("the virtual machine did not get to its end");
say(`cgroup2: ${count("passed")} passed, ${count("failed")} failed`);
process.exitCode = code === 0 && lines.length > 0 && count("failed") === 0 ? 0 : 1;
