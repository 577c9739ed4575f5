/** The values of log options that bound a log. A daemon looks at them when the container starts. */
import { internal } from "@gantry/errors";

const units = new Set(["", "b", "k", "m", "g", "t", "p"]);

/** Throws internal with Docker's words. Keys are checked at create. */
export function checkLogRotation(driver: string, options: Readonly<Record<string, string>>): void {
  if (driver === "none") return;
  const problem = rotationProblem(driver, options);
  if (problem === undefined) return;
  throw internal(
    `failed to create task for container: failed to initialize logging driver: ${problem}`,
  );
}

function rotationProblem(
  driver: string,
  options: Readonly<Record<string, string>>,
): string | undefined {
  const size = options["max-size"];
  const files = options["max-file"];
  const sizeProblem = size === undefined ? undefined : problemOfSize(size);
  if (sizeProblem !== undefined) {
    return driver === "local"
      ? `invalid value for max-size: ${String(size)}: ${sizeProblem}`
      : sizeProblem;
  }
  return (
    (files === undefined ? undefined : problemOfCount(files)) ?? problemOfCompress(driver, options)
  );
}

function problemOfSize(text: string): string | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text);
  if (match === null) return `invalid size: '${text}'`;
  const suffix = (match[2] ?? "").toLowerCase();
  if (!units.has(suffix.replace(/(?<=[kmgtp])i?b$/, ""))) return `invalid suffix: '${suffix}'`;
  return Number(match[1]) > 0 ? undefined : "max-size must be a positive number";
}

function problemOfCount(text: string): string | undefined {
  if (!/^[+-]?\d+$/.test(text)) return `strconv.Atoi: parsing "${text}": invalid syntax`;
  return Number(text) < 1 ? "max-file cannot be less than 1" : undefined;
}

function problemOfCompress(
  driver: string,
  options: Readonly<Record<string, string>>,
): string | undefined {
  const compress = options["compress"];
  if (compress === undefined) return undefined;
  if (!/^(1|t|true|0|f|false)$/i.test(compress))
    return `strconv.ParseBool: parsing "${compress}": invalid syntax`;
  const rotates = options["max-size"] !== undefined && Number(options["max-file"] ?? 1) >= 2;
  return driver === "json-file" && /^(1|t|true)$/i.test(compress) && !rotates
    ? "compress cannot be true when max-file is less than 2 or max-size is not set"
    : undefined;
}
