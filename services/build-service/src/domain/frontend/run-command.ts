/** What a RUN executes: its words, and how they are shown. */
import { heredocMark } from "../dockerfile/heredocs.ts";
import type { RunInstruction } from "../dockerfile/instruction.ts";
import type { RunConfig } from "../image-config.ts";
import { type RunMount, vertexOf } from "../solver/vertex.ts";
import { commandWords } from "./config-instructions.ts";
import type { DispatchStyle, Inputs } from "./dispatch-context.ts";
import { shownText } from "./shown-step.ts";
import { lookupIn, type StageState, setArguments } from "./stage-state.ts";

/** The text as it is displayed, flags included: variables that are set are filled in, quotes stay. */
export function shownRun(state: StageState, instruction: RunInstruction, escape: string): string {
  const summary = isBareHeredoc(instruction) ? ` (${summaryOf(instruction)})` : "";
  const options = { escape, rawQuotes: true, keepUnset: true };
  return shownText(state, `${instruction.original}${summary}`, options);
}

/** The first line, and whether there are more. */
function summaryOf({ heredocs: [only] }: RunInstruction): string {
  const { content = "", raw = "" } = only ?? {};
  const lines = (content.startsWith("#!") ? raw : content).trim().split(/\r?\n/);
  return `${lines[0] ?? ""}${lines.length > 1 ? "..." : ""}`;
}

interface RunCommand {
  readonly args: readonly string[];
  /** For history. */
  readonly text: string;
}

/** The heredoc is all there is: a script. */
function isBareHeredoc({ command, heredocs }: RunInstruction): boolean {
  return heredocs.length > 0 && command.form === "shell" && heredocMark(command.text) !== undefined;
}

export function runCommand(
  state: StageState,
  instruction: RunInstruction,
  inputs: Inputs,
  mounts: RunMount[],
  style: DispatchStyle,
): RunCommand {
  const { command, heredocs, lines } = instruction;
  const { config } = state.document;
  // The classic builder leaves them to the shell, without their lines.
  const only = style === "classic" ? undefined : heredocs[0];
  if (command.form === "exec" && command.args.length === 0 && style === "classic") {
    return { args: ownProgram(config), text: `RUN ${argumentPrefix(state, style).trimEnd()}` };
  }
  if (command.form === "exec" || only === undefined) {
    const args = commandWords(command, config, style);
    return { args, text: `RUN ${argumentPrefix(state, style)}${args.join(" ")}` };
  }
  const isBare = isBareHeredoc(instruction);
  if (isBare && only.content.startsWith("#!")) {
    const files = [{ name: only.name, content: only.content, isProgram: true }];
    const name = "[internal] preparing inline document";
    const input = inputs.add(vertexOf({ kind: "inline", files }, [], { name, lines }));
    const target = `/dev/pipes/${only.name}`;
    mounts.push({ type: "bind", input, source: `/${only.name}`, target, writable: false });
    const args = commandWords({ form: "shell", text: target }, config, style);
    return { args, text: `RUN ${argumentPrefix(state, style)}${args.join(" ")}` };
  }
  const script = isBare
    ? only.content
    : [command.text, ...heredocs.map(({ name, raw }) => `${raw}${name}`)].join("\n");
  const args = commandWords({ form: "shell", text: script }, config, style);
  return { args, text: `RUN ${argumentPrefix(state, style)}${args.join(" ")}` };
}

/** What the image runs by itself, as a container of the classic builder does that is told nothing. */
function ownProgram({ Entrypoint, Cmd }: RunConfig): readonly string[] {
  return (Entrypoint ?? []).length > 0 ? (Entrypoint ?? []) : (Cmd ?? []);
}

/** `|2 A=b C=d `, or empty. BuildKit names those, too, that an ENV hides, with its value. */
function argumentPrefix(state: StageState, style: DispatchStyle): string {
  const lookup = lookupIn(state);
  const args =
    style === "classic"
      ? setArguments(state)
      : [...state.args].flatMap(([name]) => {
          const value = lookup(name);
          return value === undefined ? [] : [[name, value] as const];
        });
  if (args.length === 0) return "";
  const list = args.map(([name, value]) => `${name}=${value}`).join(" ");
  return `|${String(args.length)} ${list} `;
}
