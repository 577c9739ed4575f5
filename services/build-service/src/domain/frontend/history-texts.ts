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
  const shell = state.document.config.Shell ?? ["/bin/sh", "-c"];
  return `${shell.join(" ")} #(nop) ${kind === "copy" ? "" : " "}${text}`;
}
