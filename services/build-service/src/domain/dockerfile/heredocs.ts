/** Heredocs: which ones the words of an instruction begin. */
import { expandToWords } from "./expand.ts";
import { parseJsonWords, splitInstruction, takeFlags } from "./words.ts";

/** What begins a heredoc. */
export interface HeredocMark {
  /** Word after `<<`, without its quotes. */
  readonly name: string;
  /** Variables in the content are expanded: no part of the name was quoted. */
  readonly expand: boolean;
  /** `<<-`: tabs before lines don't count. */
  readonly stripTabs: boolean;
}

const form = /^\d*<<(-?)\s*([^<]*)$/;
const keywords = new Set(["RUN", "COPY", "ADD"]);
const asIs = { keepUnset: true, rawQuotes: true };

/** The marks in an instruction, in order. Throws Error for a name that is no word. */
export function heredocMarks(instruction: string): HeredocMark[] {
  if (!instruction.includes("<<") || !canHave(instruction)) return [];
  return joined(rawWords(instruction)).flatMap((word) => heredocMark(word) ?? []);
}

/** A word as a mark; undefined when it is none. Throws Error for a name that is no word. */
export function heredocMark(word: string): HeredocMark | undefined {
  const [, dash = "", rest = ""] = form.exec(word) ?? [];
  if (rest === "") return undefined;
  const names = expandToWords(rest, nothing, { keepUnset: true });
  const [name] = names;
  if (name === undefined || names.length > 1) return undefined;
  const raw = expandToWords(rest, nothing, asIs)[0] ?? "";
  return { name, expand: quotesIn(name) === quotesIn(raw), stripTabs: dash === "-" };
}

/** The exec form has none. */
function canHave(instruction: string): boolean {
  const { word: keyword, rest } = splitInstruction(instruction);
  const { rest: args } = takeFlags(rest);
  if (keyword.toUpperCase() === "ONBUILD") return canHave(args);
  return keywords.has(keyword.toUpperCase()) && parseJsonWords(args) === undefined;
}

/** In an instruction whose quotes don't close no heredoc is seen. */
function rawWords(instruction: string): string[] {
  try {
    return expandToWords(instruction, nothing, { ...asIs, rawEscapes: true });
  } catch {
    return [];
  }
}

/** Blanks may stand before the name, but not behind a dash. */
function joined(words: readonly string[]): string[] {
  return words.flatMap((word, index) => {
    if (/^\d*<<$/.test(words[index - 1] ?? "")) return [];
    return /^\d*<<$/.test(word) ? `${word}${words[index + 1] ?? ""}` : word;
  });
}

const nothing = (): undefined => undefined;

const quotesIn = (text: string): number => text.replace(/[^'"]/g, "").length;
