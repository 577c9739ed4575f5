/** What a RUN executes: its words, and how they are shown. */
import type { RunInstruction } from "../dockerfile/instruction.ts";
import { type RunMount, vertexOf } from "../solver/vertex.ts";
import { commandWords } from "./config-instructions.ts";
import type { DispatchStyle, Inputs } from "./dispatch-context.ts";
import { lookupIn, type StageState, setArguments } from "./stage-state.ts";

/** The text as it is displayed, flags included: variables that are set are filled in, quotes stay. */
export function shownRun(state: StageState, instruction: RunInstruction): string {
  const { original, heredocs } = instruction;
  const lookup = lookupIn(state);
  const text = original.replace(/^\S+/, (keyword) => keyword.toUpperCase());
  const [first = "", ...others] = (heredocs[0]?.content ?? "").replace(/\n$/, "").split("\n");
  const filled = text.replaceAll(/\$(?:\{(\w+)\}|([A-Za-z_]\w*))/g, (whole, braced, plain) => {
    return lookup(String(braced ?? plain)) ?? whole;
  });
  return isBareHeredoc(instruction)
    ? `${filled} (${first}${others.length > 0 ? "..." : ""})`
    : filled;
}

interface RunCommand {
  readonly args: readonly string[];
  /** For history. */
  readonly text: string;
}

/** The heredoc is all there is: a script. */
function isBareHeredoc({ command, heredocs }: RunInstruction): boolean {
  return heredocs.length === 1 && command.form === "shell" && /^<<-?\S+$/.test(command.text);
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
    : [command.text, ...heredocs.map(({ name, content }) => `${content}${name}`)].join("\n");
  const args = commandWords({ form: "shell", text: script }, config, style);
  return { args, text: `RUN ${argumentPrefix(state, style)}${args.join(" ")}` };
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
