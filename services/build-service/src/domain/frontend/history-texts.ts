/** Texts of history, by builder. */
import type { StageState } from "./stage-state.ts";

export function buildkitHistory(text: string, kind: "run" | "copy" | "config"): string {
  return kind === "config" || text.startsWith("WORKDIR ") ? text : `${text} # buildkit`;
}

/** As the classic builder writes it. */
export function classicHistory(
  text: string,
  kind: "run" | "copy" | "config",
  state: StageState,
): string {
  if (kind === "run") return text.slice("RUN ".length);
  return `${shellOf(state).join(" ")} ${noOperation}${kind === "copy" ? "" : " "}${text}`;
}

/** The command of the container that the classic builder makes of a step which runs nothing, from its history. */
export function classicCommand(state: StageState): string[] {
  const shell = shellOf(state);
  const text = (state.document.history.at(-1)?.created_by ?? "").slice(shell.join(" ").length + 1);
  const isInOne = !text.startsWith(`${noOperation} `);
  return [...shell, ...(isInOne ? [text] : [noOperation, text.slice(noOperation.length + 1)])];
}

const noOperation = "#(nop) ";

const shellOf = ({ document }: StageState): readonly string[] =>
  document.config.Shell ?? ["/bin/sh", "-c"];
