/** Instructions that change the config only. */
import { isStopSignal } from "@gantry/oci";
import { BuildFailure } from "../build-failure.ts";
import { expandToWords, expandWord, type Lookup } from "../dockerfile/expand.ts";
import { goQuote } from "../dockerfile/go-quote.ts";
import type {
  Command,
  CommandInstruction,
  HealthcheckInstruction,
  Instruction,
  PairsInstruction,
} from "../dockerfile/instruction.ts";
import type { HealthcheckConfig, RunConfig } from "../image-config.ts";
import type { DispatchContext, DispatchStyle } from "./dispatch-context.ts";
import { goCharacter, goDuration } from "./go-values.ts";
import { putEnv, type StageState, withConfig } from "./stage-state.ts";

/** Config-only instructions by what they do to a state, and the text of their history. */
export interface ConfigChange {
  readonly state: StageState;
  /** As BuildKit writes it: `ENV A=b`. */
  readonly text: string;
}

/** The command's words, with the shell before the shell form. */
export function commandWords(command: Command, config: RunConfig, style: DispatchStyle): string[] {
  if (command.form === "exec") return [...command.args];
  const shell = config.Shell ?? ["/bin/sh", "-c"];
  // Nothing at all is no word for the classic builder.
  return command.text === "" && style === "classic" ? [...shell] : [...shell, command.text];
}

/** Applies an instruction; undefined when it is none of these. Throws Error, BuildFailure. */
export function changeConfig(
  state: StageState,
  instruction: Instruction,
  lookup: Lookup,
  { escape, style }: Pick<DispatchContext, "escape" | "style">,
): ConfigChange | undefined {
  const expand = (word: string): string => expandWord(word, lookup, { escape }).text;
  const { config } = state.document;
  switch (instruction.kind) {
    case "ENV":
      return changeEnv(state, instruction, expand);
    case "LABEL":
      return changeLabels(state, instruction, expand);
    case "CMD":
    case "ENTRYPOINT":
      return changeCommand(state, instruction, style);
    case "USER": {
      const user = expand(instruction.text);
      return { state: withConfig(state, { User: user }), text: `USER ${user}` };
    }
    case "STOPSIGNAL": {
      const signal = expand(instruction.text);
      if (!isStopSignal(signal)) {
        throw new Error(`invalid signal: ${signal}`);
      }
      return { state: withConfig(state, { StopSignal: signal }), text: `STOPSIGNAL ${signal}` };
    }
    case "MAINTAINER": {
      const document = { ...state.document, author: instruction.text };
      return { state: { ...state, document }, text: `MAINTAINER ${instruction.text}` };
    }
    case "SHELL":
      return {
        state: withConfig(state, { Shell: instruction.words }),
        text: `SHELL [${instruction.words.join(" ")}]`,
      };
    case "EXPOSE": {
      const words = instruction.words.flatMap((word) => expandToWords(word, lookup, { escape }));
      return expose(state, words, style);
    }
    case "VOLUME": {
      const paths = instruction.words.map(expand);
      if (paths.some((path) => path.trim() === "")) {
        throw new Error("VOLUME specified can not be an empty string");
      }
      const Volumes = { ...config.Volumes };
      for (const path of paths) Volumes[path] = {};
      return { state: withConfig(state, { Volumes }), text: `VOLUME [${paths.join(" ")}]` };
    }
    case "HEALTHCHECK":
      return changeHealthcheck(state, instruction, style);
    case "ONBUILD": {
      const OnBuild = [...(config.OnBuild ?? []), instruction.trigger];
      return { state: withConfig(state, { OnBuild }), text: `ONBUILD ${instruction.trigger}` };
    }
    default:
      return undefined;
  }
}

function changeEnv(
  state: StageState,
  { pairs }: PairsInstruction,
  expand: (word: string) => string,
): ConfigChange {
  // All of them see the variables as they were before.
  const expanded = pairs.map(({ key, value }) => [expand(key), expand(value)] as const);
  let Env: readonly string[] = state.document.config.Env ?? [];
  for (const [key, value] of expanded) Env = putEnv(Env, key, value);
  const text = `ENV ${expanded.map(([key, value]) => `${key}=${value}`).join(" ")}`;
  const set = new Set(expanded.map(([key]) => key));
  const hiding = new Set([...state.hiding].filter((name) => !set.has(name)));
  return { state: { ...withConfig(state, { Env }), hiding }, text };
}

function changeLabels(
  state: StageState,
  { pairs }: PairsInstruction,
  expand: (word: string) => string,
): ConfigChange {
  const Labels: Record<string, string> = { ...state.document.config.Labels };
  const texts: string[] = [];
  for (const { key, value } of pairs) {
    const [name, content] = [expand(key), expand(value)];
    Labels[name] = content;
    texts.push(`${name}=${content}`);
  }
  return { state: withConfig(state, { Labels }), text: `LABEL ${texts.join(" ")}` };
}

function changeCommand(
  state: StageState,
  instruction: CommandInstruction,
  style: DispatchStyle,
): ConfigChange {
  const { config } = state.document;
  const given = commandWords(instruction.command, config, style);
  // Nothing at all is not written by BuildKit.
  const words = given.length === 0 && style === "buildkit" ? null : given;
  const text = `${instruction.kind} [${given.map(goQuote).join(" ")}]`;
  if (instruction.kind === "CMD") {
    const next = withConfig(state, {
      Cmd: words,
      ...(style === "buildkit" && { ArgsEscaped: true }),
    });
    // The classic builder takes an empty one for none.
    const isGiven = style === "buildkit" || given.length > 0;
    return { state: { ...next, hasCommand: state.hasCommand || isGiven }, text };
  }
  const Cmd = state.hasCommand ? config.Cmd : null;
  const change = { Entrypoint: words, ...(Cmd !== undefined && { Cmd }) };
  return { state: withConfig(state, change), text };
}

function changeHealthcheck(
  state: StageState,
  instruction: HealthcheckInstruction,
  style: DispatchStyle,
): ConfigChange {
  const { command } = instruction;
  const Test =
    command === undefined
      ? ["NONE"]
      : command.form === "exec"
        ? ["CMD", ...command.args]
        : ["CMD-SHELL", command.text];
  // The classic builder commits a container, and a commit takes over from the image what is not said anew.
  const { Test: _before, ...known } = state.document.config.Healthcheck ?? { Test };
  const Healthcheck: HealthcheckConfig = {
    Test,
    ...(style === "classic" && known),
    ...(instruction.intervalNs !== 0 && { Interval: instruction.intervalNs }),
    ...(instruction.timeoutNs !== 0 && { Timeout: instruction.timeoutNs }),
    ...(instruction.startPeriodNs !== 0 && { StartPeriod: instruction.startPeriodNs }),
    ...(instruction.startIntervalNs !== 0 && { StartInterval: instruction.startIntervalNs }),
    ...(instruction.retries !== 0 && { Retries: instruction.retries }),
  };
  const text = `HEALTHCHECK ${shownHealthcheck(Test, instruction, style)}`;
  return { state: withConfig(state, { Healthcheck }), text };
}

/** As Go prints the config: with each value in quotes for BuildKit, where a number is a character. */
function shownHealthcheck(
  test: readonly string[],
  { intervalNs, timeoutNs, startPeriodNs, startIntervalNs, retries }: HealthcheckInstruction,
  style: DispatchStyle,
): string {
  const durations = [intervalNs, timeoutNs, startPeriodNs, startIntervalNs].map(goDuration);
  if (style === "classic")
    return `&{[${test.join(" ")}] ${durations.join(" ")} ${String(retries)}}`;
  const quoted = (words: readonly string[]): string => words.map(goQuote).join(" ");
  return `&{[${quoted(test)}] ${quoted(durations)} ${goCharacter(retries)}}`;
}

const maxPort = 65_535;

/** `80`, `80/udp`, `8000-8010`, `127.0.0.1:80:80` (of which only the container's side counts). */
function expose(state: StageState, words: readonly string[], style: DispatchStyle): ConfigChange {
  const ports = words.flatMap((word) => portsOf(word, style));
  const sorted = [...new Set(ports)].sort();
  const ExposedPorts = { ...state.document.config.ExposedPorts };
  for (const port of sorted) ExposedPorts[port] = {};
  const shown = style === "classic" ? [...words].sort().join(" ") : `[${sorted.join(" ")}]`;
  return { state: withConfig(state, { ExposedPorts }), text: `EXPOSE ${shown}` };
}

function portsOf(word: string, style: DispatchStyle): string[] {
  const [range = "", protocol = "tcp", ...more] = (word.split(":").at(-1) ?? "").split("/");
  const [from = "", to = from] = range.split("-");
  const [first, last] = [Number(from), Number(to)];
  const valid = [from, to].every((text) => /^\d+$/.test(text)) && first <= last && last <= maxPort;
  const isProtocol = more.length === 0 && ["tcp", "udp", "sctp"].includes(protocol.toLowerCase());
  if (style === "classic") {
    if (!valid) throw new BuildFailure(`Invalid containerPort: ${range}`);
    if (!isProtocol) throw new BuildFailure(`Invalid proto: ${protocol}`);
  }
  if (!isProtocol) {
    throw new BuildFailure(`invalid port: ${goQuote(word)}: invalid proto: ${protocol}`);
  }
  if (!valid) throw new BuildFailure(`invalid containerPort: ${word}`);
  return Array.from(
    { length: last - first + 1 },
    (_, index) => `${String(first + index)}/${protocol.toLowerCase()}`,
  );
}
