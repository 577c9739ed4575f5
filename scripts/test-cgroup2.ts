/**
 * `npm run test:cgroup2 [-- filter…]`: the runtime's tests where cgroup v2 is all there is, and on a kernel without
 * IPv6. Boots Debian's cloud kernel in QEMU (software emulation, so it takes minutes) on this machine's own files.
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

/** A machine to boot, and the tests that it is for, each in a process of its own. */
interface TestMachine {
  /** More of the kernel's command line. */
  readonly kernelOptions: string;
  readonly files: readonly string[];
}

const machines: readonly TestMachine[] = [
  {
    kernelOptions: "",
    files: [
      "services/shim/test/cgroup-versions.test.ts",
      "services/shim/test/loaded.test.ts",
      "e2e/scenarios/hostconfig.test.ts",
      "e2e/scenarios/hostconfig-cgroup.test.ts",
      "e2e/scenarios/cgroup2.guest.ts",
      "e2e/scenarios/ipvlan.guest.ts",
    ],
  },
  { kernelOptions: "ipv6.disable=1", files: ["e2e/scenarios/no-ipv6.guest.ts"] },
];

const filters = process.argv.slice(2);
const isChosen = (file: string): boolean =>
  filters.length === 0 || filters.some((filter) => file.includes(filter));

await buildForTests();
await debianProgram("nats-server", "/usr/sbin/nats-server");
await linkTestedCli();

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

/** Boots it and runs these files. Returns what they reported, and whether all went well. */
async function runMachine(
  kernelOptions: string,
  files: readonly string[],
): Promise<{ lines: TestLine[]; ok: boolean }> {
  await using folder = await openTempDir("gantry-vm-", "/var/tmp");
  const { code, report } = await runInGuest({
    folder: folder.path,
    kernelOptions,
    command: [
      `cd ${root}`,
      `export HOME=/root PATH=${path.join(":")} GANTRY_TEST_SLOWNESS=10`,
      `${node} ${flags.join(" ")} ${files.map((file) => inRoot(file)).join(" ")}`,
      "code=$?; cat /run/report > /dev/ttyS1; (exit $code)",
    ].join("; "),
    memoryMb: 4096,
    diskMb: 4096,
    timeoutMs: 60 * 60_000,
  });
  if (code === undefined) complain("the virtual machine did not get to its end");
  const told = report.split("\n").filter((line) => line.startsWith("{"));
  return { lines: told.map((line) => JSON.parse(line) as TestLine), ok: code === 0 };
}

const all: TestLine[] = [];
let ok = true;
for (const { kernelOptions, files } of machines) {
  const chosen = files.filter(isChosen);
  if (chosen.length === 0) continue;
  const ran = await runMachine(kernelOptions, chosen);
  all.push(...ran.lines);
  ok &&= ran.ok;
}

const lines = checkSkips(all, readSkips());
const count = (result: TestLine["result"]): number =>
  lines.filter((line) => line.result === result).length;
say();
for (const { file, name, result, reason } of lines) {
  if (result === "skipped") say(`skipped: ${name} (${reason}) ${file}`);
  if (result === "failed") complain(`failed: ${name} ${reason} ${file}`);
}
say(`cgroup2: ${count("passed")} passed, ${count("failed")} failed`);
process.exitCode = ok && lines.length > 0 && count("failed") === 0 ? 0 : 1;
