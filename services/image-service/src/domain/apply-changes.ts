/** Dockerfile instructions that `docker commit --change` and `docker import --change` take. */
import { invalidArgument } from "@gantry/errors";
import { isStopSignal } from "@gantry/oci";
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
  const lines = changes
    .flatMap((each) => each.split("\n"))
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (changes.length > 0 && lines.length === 0) throw invalidArgument("file with no instructions");
  for (const trimmed of lines) {
    const [, word = "", text = ""] = /^(\S+)\s*(.*)$/s.exec(trimmed) ?? [];
    const change = verbs.get(word.toUpperCase());
    if (change === undefined) throw invalidArgument(`${word} is not a valid change command`);
    if (text === "" && !/^(?:CMD|ENTRYPOINT)$/i.test(word)) {
      const count = /^(?:STOPSIGNAL|USER|WORKDIR)$/i.test(word) ? "exactly" : "at least";
      throw invalidArgument(`${word.toUpperCase()} requires ${count} one argument`);
    }
    change(result, text);
  }
  return result;
}

const shell = (text: string): string[] => ["/bin/sh", "-c", ...(text === "" ? [] : [text])];

/** An empty one is none: what there was stays, unless an entry point would get it as arguments. */
function command(config: ConfigObject, text: string): void {
  const words = jsonWords(text) ?? shell(text);
  if (words.length > 0) config["Cmd"] = words;
  else if (((config["Entrypoint"] ?? []) as string[]).length > 0) delete config["Cmd"];
}

/** An empty one is none: what there was stays. A new one does not run with the old one's arguments. */
function entryPoint(config: ConfigObject, text: string): void {
  const words = text === "" ? [] : (jsonWords(text) ?? shell(text));
  if (words.length === 0) return;
  config["Entrypoint"] = words;
  delete config["Cmd"];
}

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
    const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp)?)?$/i.exec(word);
    const [low, high] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? match?.[1] ?? 0)];
    const [, number = word, protocolText = "tcp"] = /^([^/]*)(?:\/(.*))?$/.exec(word) ?? [];
    if (!/^(?:tcp|udp|sctp|)$/i.test(protocolText)) {
      throw invalidArgument(`Invalid proto: ${protocolText}`);
    }
    if (match === null || high > 65_535 || high < low) {
      throw invalidArgument(`Invalid containerPort: ${number}`);
    }
    const protocol = (match[3] ?? "tcp").toLowerCase();
    return Array.from({ length: high - low + 1 }, (_, index) => `${low + index}/${protocol}`);
  });
  addKeys(config, "ExposedPorts", ports);
}

function workingDir(config: ConfigObject, text: string): void {
  const current = typeof config["WorkingDir"] === "string" ? config["WorkingDir"] : "";
  const word = expandText(text, variablesOf(config));
  if (word === "") throw invalidArgument("cannot normalize nothing");
  const parts: string[] = [];
  for (const part of (word.startsWith("/") ? word : `${current}/${word}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  config["WorkingDir"] = `/${parts.join("/")}`;
}

function stopSignal(config: ConfigObject, text: string): void {
  const signal = expanded(config, text);
  if (!isStopSignal(signal)) throw invalidArgument(`invalid signal: ${signal}`);
  config["StopSignal"] = signal;
}

function onBuild(config: ConfigObject, text: string): void {
  const verb = /^\S*/.exec(text)?.[0].toUpperCase();
  if (verb === "ONBUILD") {
    throw invalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (verb === "FROM" || verb === "MAINTAINER") {
    throw invalidArgument(`${verb} isn't allowed as an ONBUILD trigger`);
  }
  config["OnBuild"] = [...((config["OnBuild"] ?? []) as string[]), text];
}

const expanded = (config: ConfigObject, text: string): string =>
  expandText(text, variablesOf(config));

function volumesOf(config: ConfigObject, text: string): string[] {
  const list = jsonWords(text);
  const words =
    list === undefined
      ? splitWords(text, variablesOf(config))
      : list.map((word) => expanded(config, word));
  if (words.length === 0) throw invalidArgument("VOLUME requires at least one argument");
  if (words.includes("")) throw invalidArgument("VOLUME specified can not be an empty string");
  return words;
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
  ["CMD", command],
  ["ENTRYPOINT", entryPoint],
  ["ENV", setEnv],
  ["LABEL", setLabels],
  ["EXPOSE", expose],
  ["HEALTHCHECK", healthcheck],
  ["ONBUILD", onBuild],
  ["STOPSIGNAL", stopSignal],
  ["USER", (config, text) => void (config["User"] = expanded(config, text))],
  ["VOLUME", (config, text) => addKeys(config, "Volumes", volumesOf(config, text))],
  ["WORKDIR", workingDir],
]);
