// Runs under whatever Node (20 or later) the machine has, with built-in modules only. Makes sure that
// the Debian packages and the npm packages are there, then hands over to the pinned Node with a clean
// environment: scripts/<command>.ts.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const pinnedNode = path.join(root, `node_modules/node-linux-${process.arch}/bin/node`);

/** What the build and the engine need. None of these starts a daemon when installed. */
const enginePackages = [
  "ca-certificates",
  "g++",
  "iproute2",
  "libbz2-dev",
  "libisal-dev",
  "liblzma-dev",
  "libseccomp-dev",
  "libssl-dev",
  "libzstd-dev",
  "make",
  "nftables",
  "procps",
  "python3",
  "zlib1g-dev",
];

/** What the tests and benchmarks need on top. */
const testPackages = [
  "attr",
  "bzip2",
  "curl",
  "git",
  "iptables",
  "libcap2-bin",
  "openssl",
  "perl",
  "strace",
  "systemd",
  "util-linux",
  "xz-utils",
  "zstd",
];

/** What an emulated machine with a kernel of its own needs. The kernel itself is unpacked, never installed. */
const machinePackages = ["busybox-static", "e2fsprogs", "qemu-system-x86"];

/** libFuzzer, which g++ has not. */
const fuzzPackages = ["clang", "libclang-rt-dev"];

/** The commands, with the Debian packages that each needs to be installed. */
const commands = {
  start: enginePackages,
  restart: enginePackages,
  build: enginePackages,
  stop: [],
  "nats-url": [],
  generate: [],
  format: [],
  check: [],
  test: [...enginePackages, ...testPackages, ...machinePackages, ...fuzzPackages],
  "test-deep": [...enginePackages, ...testPackages, ...machinePackages, ...fuzzPackages],
  "test-cgroup2": [...enginePackages, ...testPackages, ...machinePackages],
  bench: [...enginePackages, ...testPackages],
};

/** Variables of the caller that the tools need; all others stay behind. */
const passedOn =
  /^(GANTRY_.*|HOME|TERM|TZ|CI|NO_COLOR|FORCE_COLOR|SSL_CERT_FILE|(HTTPS?|NO)_PROXY|(https?|no)_proxy)$/;

function fail(message) {
  process.stderr.write(`gantry: ${message}\n`);
  process.exit(1);
}

function mustRun(program, args, options = {}) {
  const ran = spawnSync(program, args, { stdio: "inherit", cwd: root, ...options });
  if (ran.error) fail(`${program}: ${ran.error.message}`);
  if (ran.status !== 0) fail(`${program} ${args.join(" ")} failed`);
}

function missingDebianPackages(names) {
  if (names.length === 0) return [];
  const query = spawnSync(
    "dpkg-query",
    ["-W", "-f", "${Package} ${db:Status-Status}\n", ...names],
    {
      encoding: "utf8",
    },
  );
  if (query.error) fail("this needs Debian or a system made from it: no dpkg-query here");
  const lines = query.stdout.split("\n");
  return names.filter((name) => !lines.includes(`${name} installed`));
}

/** Package lists: a fresh image has none, and without them nothing can be downloaded. */
function haveAptLists() {
  const folder = "/var/lib/apt/lists";
  return existsSync(folder) && readdirSync(folder).some((name) => name.includes("_Packages"));
}

function installDebianPackages(names) {
  const missing = missingDebianPackages(names);
  if (missing.length === 0 && (names.length === 0 || haveAptLists())) return;
  if (os.userInfo().uid !== 0) fail(`run this as root: ${missing.join(", ")} must be installed`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const install = ["-qq", "install", "--yes", "--no-install-recommends", ...missing];
  process.stdout.write(`installing Debian packages: ${missing.join(" ") || "(lists only)"}\n`);
  const quiet = { env, stdio: ["ignore", "ignore", "inherit"] };
  if (haveAptLists() && spawnSync("apt-get", install, quiet).status === 0) return;
  // No lists yet, or they are older than what the mirror still has.
  mustRun("apt-get", ["-qq", "update"], { env });
  if (missing.length > 0) mustRun("apt-get", install, quiet);
}

function readLock(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    // Missing or cut short: the same as nothing installed.
    return undefined;
  }
}

/** Whether node_modules holds what package-lock.json names. Packages for other machines may be absent. */
function npmPackagesAreCurrent() {
  const wanted = readLock(path.join(root, "package-lock.json"));
  const have = readLock(path.join(root, "node_modules/.package-lock.json"));
  if (wanted === undefined) fail("package-lock.json is missing or broken");
  if (have === undefined || !existsSync(pinnedNode)) return false;
  return Object.entries(wanted).every(([where, entry]) => {
    if (!where.startsWith("node_modules/")) return true;
    const installed = have[where];
    return installed === undefined
      ? entry.optional === true
      : installed.version === entry.version && installed.resolved === entry.resolved;
  });
}

function installNpmPackages() {
  if (npmPackagesAreCurrent()) return;
  process.stdout.write("installing npm packages\n");
  const npm = process.env.npm_execpath;
  const args = ["ci", "--loglevel=error", "--no-audit", "--no-fund"];
  if (npm !== undefined && npm.endsWith(".js")) mustRun(process.execPath, [npm, ...args]);
  else mustRun("npm", args);
  if (!existsSync(pinnedNode)) {
    fail(
      `npm brought no Node for ${process.platform}-${process.arch} (package node-linux-${process.arch})`,
    );
  }
}

function cleanEnvironment() {
  const kept = Object.entries(process.env).filter(([name]) => passedOn.test(name));
  const standard = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const folders = [path.dirname(pinnedNode), path.join(root, "node_modules/.bin")];
  return {
    HOME: "/root",
    LANG: "C.UTF-8",
    NODE_COMPILE_CACHE: path.join(root, ".cache/compile"),
    ...Object.fromEntries(kept),
    // The caller's PATH comes last: it may hold the docker CLI.
    PATH: [...folders, standard, process.env.PATH ?? ""].join(":"),
  };
}

/** Becomes the command, as far as a parent can: its signals and its exit code. */
function handOver(command, args) {
  const child = spawn(pinnedNode, [path.join(root, `scripts/${command}.ts`), ...args], {
    cwd: root,
    env: cleanEnvironment(),
    stdio: "inherit",
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    // A terminal has sent Ctrl-C to the child, too; twice does no harm.
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => fail(error.message));
  child.on("exit", (code, signal) =>
    process.exit(code ?? 128 + (os.constants.signals[signal] ?? 0)),
  );
}

const [command = "", ...args] = process.argv.slice(2);
if (process.platform !== "linux") fail("this runs on Linux only");
if (!Object.hasOwn(commands, command)) fail(`commands: ${Object.keys(commands).join(", ")}`);
// In a Makefile and on a shell's command line, which node-gyp writes, others have a meaning.
if (!/^[\p{L}\p{N}_.,/@+-]+$/u.test(root)) fail(`cannot build in a folder of such a name: ${root}`);
installDebianPackages(commands[command]);
installNpmPackages();
handOver(command, args);
