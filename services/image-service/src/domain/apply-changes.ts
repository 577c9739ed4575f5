/** Dockerfile instructions that `docker commit --change` and `docker import --change` take. */
import { invalidArgument } from "@gantry/errors";
import { expandText, jsonWords, keyValues, type Lookup, splitWords } from "./dockerfile-words.ts";

/** The `config` object of an image config: known members typed, all others kept. */
export type ConfigObject = Record<string, unknown>;

type Change = (config: ConfigObject, text: string) => void;

/** The variables that the instructions before have set, and the image that they change. */
function variablesOf(config: ConfigObject): Lookup {
  const env = (config["Env"] ?? []) as string[];
  return (name) => env.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Applies instructions in order to a copy. Throws invalid_argument with Docker's words. */
export function applyChanges(config: ConfigObject, changes: readonly string[]): ConfigObject {
  const result: ConfigObject = structuredClone(config);
  for (const line of changes.flatMap((each) => each.split("\n"))) {
    const trimmed = line.trim();
    if (trimmed === "") continue;
    const [, word = "", text = ""] = /^(\S+)\s*(.*)$/s.exec(trimmed) ?? [];
    const change = verbs.get(word.toUpperCase());
    if (change === undefined) throw invalidArgument(`${word} is not a valid change command`);
    if (text === "" && !/^(?:CMD|ENTRYPOINT)$/i.test(word)) {
      throw invalidArgument(`${word.toUpperCase()} requires at least one argument`);
    }
    change(result, text);
  }
  return result;
}

const shell = (text: string): string[] => (text === "" ? [] : ["/bin/sh", "-c", text]);

function addKeys(config: ConfigObject, member: string, keys: readonly string[]): void {
  const known = (config[member] ?? {}) as Record<string, unknown>;
  config[member] = { ...known, ...Object.fromEntries(keys.map((key) => [key, {}])) };
}

function setEnv(config: ConfigObject, text: string): void {
  const env = [...((config["Env"] ?? []) as string[])];
  for (const [key, value] of keyValues(text, "ENV", variablesOf(config))) {
    const at = env.findIndex((each) => each.startsWith(`${key}=`));
    if (at < 0) env.push(`${key}=${value}`);
    else env[at] = `${key}=${value}`;
  }
  config["Env"] = env;
}

function setLabels(config: ConfigObject, text: string): void {
  const labels = (config["Labels"] ?? {}) as Record<string, string>;
  config["Labels"] = {
    ...labels,
    ...Object.fromEntries(keyValues(text, "LABEL", variablesOf(config))),
  };
}

function expose(config: ConfigObject, text: string): void {
  const ports = splitWords(text, variablesOf(config)).flatMap((word) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word);
    const [low, high] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? match?.[1] ?? 0)];
    if (match === null || low < 1 || high > 65_535 || high < low) {
      throw invalidArgument(`invalid containerPort: ${word}`);
    }
    const protocol = (match[3] ?? "tcp").toLowerCase();
    return Array.from({ length: high - low + 1 }, (_, index) => `${low + index}/${protocol}`);
  });
  addKeys(config, "ExposedPorts", ports);
}

function workingDir(config: ConfigObject, text: string): void {
  const current = typeof config["WorkingDir"] === "string" ? config["WorkingDir"] : "";
  const word = expandText(text, variablesOf(config));
  const parts: string[] = [];
  for (const part of (word.startsWith("/") ? word : `${current}/${word}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  config["WorkingDir"] = `/${parts.join("/")}`;
}

const expanded = (config: ConfigObject, text: string): string =>
  expandText(text, variablesOf(config));

function volumesOf(config: ConfigObject, text: string): string[] {
  const words = jsonWords(text);
  return words === undefined
    ? splitWords(text, variablesOf(config))
    : words.map((word) => expanded(config, word));
}

const healthDurations: Readonly<Record<string, string>> = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
};

function healthcheck(config: ConfigObject, text: string): void {
  const check: Record<string, unknown> = {};
  let rest = text;
  for (;;) {
    const flag = /^--([a-z-]+)=(\S+)\s*/.exec(rest);
    if (flag === null) break;
    const [whole, name = "", value = ""] = flag;
    const member = Object.hasOwn(healthDurations, name) ? healthDurations[name] : undefined;
    if (member !== undefined) check[member] = durationNano(value);
    else if (name === "retries" && /^\d+$/.test(value)) check["Retries"] = Number(value);
    else throw invalidArgument(`unknown flag: ${name}`);
    rest = rest.slice(whole.length);
  }
  if (/^NONE$/i.test(rest)) {
    config["Healthcheck"] = { Test: ["NONE"] };
    return;
  }
  const command = /^CMD\s+(.+)$/is.exec(rest)?.[1];
  if (command === undefined)
    throw invalidArgument(`Unknown type "${rest.split(/\s/)[0] ?? ""}" in HEALTHCHECK (try CMD)`);
  const words = jsonWords(command);
  check["Test"] = words === undefined ? ["CMD-SHELL", command] : ["CMD", ...words];
  config["Healthcheck"] = check;
}

const unitNano: Readonly<Record<string, number>> = { ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

function durationNano(text: string): number {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text))
    throw invalidArgument(`invalid duration ${JSON.stringify(text)}`);
  let total = 0;
  for (const [, amount, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (unitNano[unit] ?? 0);
  }
  return Math.round(total);
}

const verbs: ReadonlyMap<string, Change> = new Map<string, Change>([
  ["CMD", (config, text) => void (config["Cmd"] = jsonWords(text) ?? shell(text))],
  [
    "ENTRYPOINT",
    (config, text) => {
      config["Entrypoint"] = jsonWords(text) ?? shell(text);
      // A new entry point does not run with the old one's arguments.
      delete config["Cmd"];
    },
  ],
  ["ENV", setEnv],
  ["LABEL", setLabels],
  ["EXPOSE", expose],
  ["HEALTHCHECK", healthcheck],
  [
    "ONBUILD",
    (config, text) => void (config["OnBuild"] = [...((config["OnBuild"] ?? []) as string[]), text]),
  ],
  ["STOPSIGNAL", (config, text) => void (config["StopSignal"] = expanded(config, text))],
  ["USER", (config, text) => void (config["User"] = expanded(config, text))],
  ["VOLUME", (config, text) => addKeys(config, "Volumes", volumesOf(config, text))],
  ["WORKDIR", workingDir],
]);
