/** Query parameters with Docker's readings. */
import { invalidArgument } from "@gantry/errors";

const falseWords = new Set(["", "0", "no", "false", "none"]);

/** The query of one request; parsed at first use. */
export class Query {
  readonly #raw: string;
  #parsed: URLSearchParams | undefined;

  /** @param raw what follows the question mark. */
  constructor(raw: string) {
    this.#raw = raw;
  }

  /** First value, or the empty string. */
  text(name: string): string {
    return this.#params().get(name) ?? "";
  }

  /** Whether the parameter is there, even when empty. */
  has(name: string): boolean {
    return this.#params().has(name);
  }

  /** All values. */
  all(name: string): string[] {
    return this.#params().getAll(name);
  }

  /** Docker's booleans: empty, `0`, `no`, `false` and `none` are false, all else is true. */
  flag(name: string, whenAbsent = false): boolean {
    const value = this.#params().get(name);
    return value === null ? whenAbsent : !falseWords.has(value.trim().toLowerCase());
  }

  /**
   * A decimal integer, or undefined when absent or empty. Throws invalid_argument for anything else, with
   * `prefix` before what is wrong.
   */
  integer(name: string, prefix = ""): number | undefined {
    const value = this.text(name);
    if (value === "") return undefined;
    if (!/^[+-]?\d+$/.test(value)) throw badNumber(value, prefix, "invalid syntax");
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw badNumber(value, prefix, "value out of range");
    return number;
  }

  #params(): URLSearchParams {
    return (this.#parsed ??= new URLSearchParams(this.#raw));
  }
}

function badNumber(value: string, prefix: string, why: string): Error {
  return invalidArgument(`${prefix}strconv.Atoi: parsing ${JSON.stringify(value)}: ${why}`);
}
