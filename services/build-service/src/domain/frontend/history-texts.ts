/** Texts of history, by builder. */
import { createHash } from "node:crypto";
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

const sourcesMark = "\0";

/** A COPY, whose sources stand there as their sum: {@link withSourcesSum} puts it in. */
export function classicCopy(
  kind: "COPY" | "ADD",
  chown: string | undefined,
  destination: string,
): string {
  const owner = chown === undefined ? "" : `--chown=${chown} `;
  return `${kind} ${owner}${sourcesMark} in ${destination} `;
}

/** One source's sum, or that of several: `multi:<hex>`. */
export function sourcesText(sums: readonly string[]): string {
  const [only] = sums;
  if (only !== undefined && sums.length === 1) return only;
  return `multi:${createHash("sha256").update(sums.join(",")).digest("hex")}`;
}

/** Whether the text waits for a sum. */
export const wantsSourcesSum = (text: string): boolean => text.includes(sourcesMark);

export const withSourcesSum = (text: string, sum: string): string =>
  text.replace(sourcesMark, () => sum);

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
