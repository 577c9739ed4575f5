/** Reads typed values out of a JSON object and collects every problem instead of stopping at the first. */

/** One mistake in the configuration, for people: `log-opts: must be an object`. */
export type Problem = string;

/** Typed access to the keys of one object. Keys that nobody asked for are problems, too. */
export class JsonReader {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #problems: Problem[];
  readonly #prefix: string;
  readonly #known = new Set<string>();

  constructor(object: Readonly<Record<string, unknown>>, problems: Problem[], prefix = "") {
    this.#object = object;
    this.#problems = problems;
    this.#prefix = prefix;
  }

  text(key: string): string | undefined {
    return this.#read(key, "a string", (value) => (typeof value === "string" ? value : undefined));
  }

  flag(key: string): boolean | undefined {
    return this.#read(key, "true or false", (value) =>
      typeof value === "boolean" ? value : undefined,
    );
  }

  /** A whole number within the bounds, both included. */
  integer(key: string, least: number, most: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const range = most === Number.MAX_SAFE_INTEGER ? `>= ${least}` : `from ${least} to ${most}`;
    return this.#read(key, `a whole number ${range}`, (value) =>
      Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
        ? Number(value)
        : undefined,
    );
  }

  oneOf<const T extends string>(key: string, words: readonly T[]): T | undefined {
    return this.#read(key, `one of ${words.join(", ")}`, (value) =>
      words.find((word) => word === value),
    );
  }

  texts(key: string): readonly string[] | undefined {
    return this.#read(key, "a list of strings", (value) =>
      Array.isArray(value) && value.every((each) => typeof each === "string") ? value : undefined,
    );
  }

  textMap(key: string): Readonly<Record<string, string>> | undefined {
    return this.#read(key, "an object of strings", (value) => {
      if (!isObject(value)) return undefined;
      const entries = Object.entries(value);
      return entries.every(([, each]) => typeof each === "string")
        ? Object.fromEntries(entries.map(([name, each]) => [name, String(each)]))
        : undefined;
    });
  }

  /** One object, read by `read`. */
  object<T>(key: string, read: (item: JsonReader) => T | undefined): T | undefined {
    const item = this.#read(key, "an object", (value) => (isObject(value) ? value : undefined));
    return item === undefined ? undefined : this.#nested(item, key, read)[0];
  }

  /** A list of objects, each read by `read`. */
  objects<T>(key: string, read: (item: JsonReader) => T | undefined): readonly T[] | undefined {
    const list = this.#read(key, "a list of objects", (value) =>
      Array.isArray(value) && value.every(isObject) ? value : undefined,
    );
    return list?.flatMap((item, index) => this.#nested(item, `${key}[${index}]`, read));
  }

  /** An object of objects, each read by `read`. */
  objectMap<T>(key: string, read: (item: JsonReader) => T | undefined): Record<string, T> {
    const map = this.#read(key, "an object", (value) => (isObject(value) ? value : undefined));
    const entries = Object.entries(map ?? {}).flatMap(([name, item]) => {
      if (!isObject(item)) return this.problem(`${key}.${name}`, "must be an object") ?? [];
      return this.#nested(item, `${key}.${name}`, read).map((value): [string, T] => [name, value]);
    });
    return Object.fromEntries(entries);
  }

  /** Adds a problem about a key. */
  problem(key: string, text: string): undefined {
    this.#problems.push(`${this.#prefix}${key}: ${text}`);
    return undefined;
  }

  /** Accepts a key whose value changes nothing here. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#known.add(key);
  }

  /** Reports the keys that nobody asked for. */
  finish(): void {
    for (const key of Object.keys(this.#object)) {
      if (!this.#known.has(key)) this.problem(key, "no such option");
    }
  }

  #read<T>(key: string, expected: string, parse: (value: unknown) => T | undefined): T | undefined {
    this.#known.add(key);
    if (!Object.hasOwn(this.#object, key)) return undefined;
    const parsed = parse(this.#object[key]);
    return parsed === undefined ? this.problem(key, `must be ${expected}`) : parsed;
  }

  #nested<T>(
    item: Readonly<Record<string, unknown>>,
    key: string,
    read: (item: JsonReader) => T | undefined,
  ): T[] {
    const reader = new JsonReader(item, this.#problems, `${this.#prefix}${key}.`);
    const value = read(reader);
    reader.finish();
    return value === undefined ? [] : [value];
  }
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
