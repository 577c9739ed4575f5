/** Random and hostile JSON of a shape: mostly of the right type, often at its edges, sometimes of the wrong one. */
import type { Random } from "@gantry/testkit/random";
import type { FieldShape, Shape } from "./shape.ts";

/** Values that mean something, by the name of the field: what gets past the first check is the interesting part. */
const meant: Readonly<Record<string, readonly unknown[]>> = {
  Image: ["busybox", "busybox", "busybox", "nope", "busybox:latest@sha256:00", ""],
  Cmd: [["true"], ["sleep", "0.2"], ["sh", "-c", "exit 3"], ["nope"], [""], []],
  Entrypoint: [[], [""], ["/bin/sh", "-c"], null],
  NetworkMode: ["none", "bridge", "default", "host", "container:nope", "nope", ""],
  IpcMode: ["private", "shareable", "none", "host", "container:nope", "nope"],
  PidMode: ["", "container:nope", "nope"],
  UTSMode: ["", "host", "nope"],
  UsernsMode: ["", "host", "nope"],
  CgroupnsMode: ["", "host", "private", "nope"],
  Isolation: ["", "default", "hyperv"],
  Runtime: ["", "runc", "nope"],
  Name: ["always", "on-failure", "no", "nope", ""],
  Binds: [["fuzz-volume:/v"], ["fuzz-volume:/v:ro,z"], [":/x"], ["/nonexistent/x:"], ["a:b:c:d"]],
  Type: ["volume", "tmpfs", "bind", "image", "nope", "json-file", "local", "none", ""],
  Source: ["fuzz-volume", "/nonexistent/fuzz", "", "relative"],
  Target: ["/t", "/", "relative", ""],
  CapAdd: [["NET_ADMIN"], ["ALL"], ["CAP_NOPE"], ["cap_sys_time"]],
  CapDrop: [["ALL"], ["CHOWN"], ["NOPE"]],
  SecurityOpt: [
    ["no-new-privileges"],
    ["seccomp=unconfined"],
    ["seccomp={}"],
    ["nope"],
    ["label:"],
  ],
  User: ["", "0", "nobody", "1:1", "4294967296", "nope:nope"],
  WorkingDir: ["/tmp", "/made/up", "relative", ""],
  StopSignal: ["TERM", "9", "SIGNOPE", "-1", "65"],
  CpusetCpus: ["0", "0-1", "99", "0,,1", "-"],
  Memory: [0, 6291456, 67108864, 1, -1],
  NanoCpus: [0, 500000000, -1, 1e18],
  PidsLimit: [0, 1, 64, -1],
  ShmSize: [0, 1048576, -1],
  OomScoreAdj: [0, 500, 1001, -1001],
  Dns: [["127.0.0.1"], ["nope"], ["::1"]],
  Env: [["A=b"], ["A"], ["=b"], ["A=\u0000"]],
  Test: [["CMD", "true"], ["CMD-SHELL", "exit 1"], ["NONE"], ["NOPE"], []],
  Platform: ["linux/amd64", "linux/arm64", "nope/nope/nope/nope"],
  DetachKeys: ["ctrl-p,ctrl-q", "a", "ctrl-nope", ""],
  HostPort: ["", "0", "70000", "nope", "1-0"],
  Hostname: ["h", "", "bad name", "-"],
  // Nothing of the host's: no devices and no cgroups but those that are refused.
  CgroupParent: ["", "relative", "../..", "/../x"],
  PathOnHost: ["/dev/null", "/dev/nope", ""],
  Sysctls: [{ "net.ipv4.ping_group_range": "0 1" }, { "kernel.nope": "1" }, { "": "" }],
  Privileged: [false],
};

const texts = [
  "",
  " ",
  "a",
  "\u0000",
  "a\nb",
  "../../..",
  "/etc/passwd",
  "\ud800",
  "ä€😀",
  "%00%2e%2e",
  "-1",
  "9223372036854775808",
  "__proto__",
  "constructor",
  "${HOME}",
  "$(reboot)",
  "x".repeat(300),
  "y".repeat(70_000),
];

const integers = [
  "0",
  "1",
  "-1",
  "2147483648",
  "-2147483649",
  "4294967296",
  "9223372036854775807",
  "-9223372036854775808",
  "9223372036854775808",
  "1e400",
  "1.5",
  "00",
];

/** JSON text that may be invalid. */
export function bodyFor(random: Random, shape: Shape): string {
  const roll = random.next();
  if (roll < 0.02) return random.pick(["", "{", "null", "[]", '"x"', "{}{}", "\u0000", "nope"]);
  if (roll < 0.03) return `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  return objectOf(random, shape, 1);
}

function objectOf(random: Random, shape: Shape, depth: number): string {
  const names = [...shape.keys()];
  const members = new Map<string, string>();
  if (depth === 1 && shape.has("Image")) {
    members.set("Image", JSON.stringify(random.pick(meant["Image"] ?? [])));
    members.set("Cmd", JSON.stringify(random.pick(meant["Cmd"] ?? [])));
  }
  // Often few, so that some bodies get all the way through.
  const most = Math.min(names.length, random.next() < 0.5 ? 1 : 5);
  const count = random.integer(0, most);
  for (let index = 0; index < count; index++) {
    const name = random.pick(names);
    const field = shape.get(name);
    if (field !== undefined) members.set(name, valueOf(random, name, field, depth));
  }
  if (random.next() < 0.03) members.set("__proto__", '{"polluted":true}');
  const list = [...members].map(([name, value]) => `${spelled(random, name)}:${value}`);
  return `{${list.join(",")}}`;
}

/** Go takes any case. */
function spelled(random: Random, name: string): string {
  return JSON.stringify(random.next() < 0.05 ? name.toLowerCase() : name);
}

function valueOf(random: Random, name: string, field: FieldShape, depth: number): string {
  const fitting = meant[name];
  const roll = random.next();
  if (fitting !== undefined && (roll < 0.8 || name === "Privileged" || name === "CgroupParent")) {
    return JSON.stringify(random.pick(fitting));
  }
  if (roll > 0.93) return wrong(random);
  return typed(random, field, depth);
}

function wrong(random: Random): string {
  return random.pick([
    "null",
    "true",
    "1",
    '"text"',
    "[]",
    "{}",
    "[null]",
    "[[]]",
    '{"":null}',
    '[{"a":[1,{"b":null}]}]',
    "-0",
    random.pick(integers),
  ]);
}

function text(random: Random): string {
  return JSON.stringify(random.pick(texts));
}

function list(random: Random, make: () => string): string {
  const items = Array.from({ length: random.integer(0, 3) }, make);
  return `[${items.join(",")}]`;
}

function dictionary(random: Random, make: () => string): string {
  const items = Array.from({ length: random.integer(0, 3) }, () => `${text(random)}:${make()}`);
  return `{${items.join(",")}}`;
}

function typed(random: Random, field: FieldShape, depth: number): string {
  switch (field.kind) {
    case "text":
      return text(random);
    case "flag":
      return random.pick(["true", "false"]);
    case "integer":
      return random.pick(integers);
    case "texts":
      return list(random, () => text(random));
    case "sizes":
      return list(random, () => random.pick(integers));
    case "textMap":
      return dictionary(random, () => text(random));
    case "keys":
      return dictionary(random, () => random.pick(["{}", "null", "1"]));
    case "object":
      return objectOf(random, field.of, depth + 1);
    case "objects":
      return list(random, () => objectOf(random, field.of, depth + 1));
    case "objectMap":
      return dictionary(random, () => objectOf(random, field.of, depth + 1));
    case "objectListMap":
      return dictionary(random, () => list(random, () => objectOf(random, field.of, depth + 1)));
  }
}

/** A value of a query parameter. */
export function queryText(random: Random): string {
  return random.pick([
    ...texts.filter((each) => each.length < 400),
    "1",
    "true",
    "0",
    "TERM",
    "KILL",
    "all",
    "/tmp",
    "/etc",
    "/proc/self",
    '{"label":["a"]}',
    '{"status":{"running":true}}',
    '{"nope":["x"]}',
    "[]",
    "next-exit",
    "removed",
    "1700000000.5",
  ]);
}
