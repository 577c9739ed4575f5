/** Flags of instructions: which each one knows, and what they may be. */
import { didYouMean } from "./nearest.ts";
import type { Flagged } from "./words.ts";

/** What a flag takes: nothing or a truth value, one value, or several of them. */
export type FlagKind = "boolean" | "one" | "many";

/** Flags of an instruction by name. */
export type KnownFlags = Readonly<Record<string, FlagKind>>;

/** Flags that were given. */
export interface GivenFlags {
  one(name: string): string | undefined;
  all(name: string): readonly string[];
  /** Undefined: not given. */
  boolean(name: string): boolean | undefined;
}

/** Checks flags as BuildKit does. Throws Error. */
export function readFlags(flags: Flagged["flags"], known: KnownFlags): GivenFlags {
  const values = new Map<string, string[]>();
  for (const { name, value } of flags) {
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined)
      throw new Error(`unknown flag: --${name}${didYouMean(name, Object.keys(known))}`);
    const list = values.get(name) ?? [];
    if (list.length > 0 && kind !== "many") throw new Error(`duplicate flag specified: --${name}`);
    if (kind === "boolean" ? value === "" : value === undefined)
      throw new Error(`missing a value on flag: --${name}`);
    if (kind === "boolean") checkBoolean(name, value);
    values.set(name, [...list, value ?? "true"]);
  }
  return {
    one: (name) => values.get(name)?.[0],
    all: (name) => values.get(name) ?? [],
    boolean: (name) => {
      const value = values.get(name)?.[0];
      return value === undefined ? undefined : value.toLowerCase() === "true";
    },
  };
}

function checkBoolean(name: string, value = "true"): void {
  if (!["true", "false"].includes(value.toLowerCase()))
    throw new Error(`expecting boolean value for flag --${name}, not: ${value}`);
}
